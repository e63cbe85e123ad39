from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps


def complete(apps: StateApps, _: BaseDatabaseSchemaEditor) -> None:
    """Fill what the indexes rely on: which purges were interrupted, and that refused requests were answered."""
    jobs = apps.get_model("worker", "LinkingJob").objects
    left = apps.get_model("worker", "LearnerOutcome").objects.filter(job=models.OuterRef("pk"))
    jobs.filter(models.Exists(left), purged__isnull=False).update(purging=True)
    jobs.filter(state="refused", waits_for=[], notified=None).update(notified=models.F("finished"))


class Migration(migrations.Migration):

    dependencies = [
        ('worker', '0009_inbox_file_in_place'),
    ]

    operations = [
        migrations.CreateModel(
            name='JobTotals',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('until', models.DateTimeField()),
                ('states', models.JSONField(default=dict)),
                ('counts', models.JSONField(default=dict)),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.AddField(
            model_name='linkingjob',
            name='purging',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddIndex(
            model_name='linkingjob',
            index=models.Index(fields=['created'], name='linkingjob_created'),
        ),
        migrations.AddIndex(
            model_name='linkingjob',
            index=models.Index(fields=['notified', 'created'], name='linkingjob_notified'),
        ),
        migrations.AddIndex(
            model_name='linkingjob',
            index=models.Index(condition=models.Q(('state', 'done'), _negated=True), fields=['state', 'created'], name='linkingjob_state'),
        ),
        migrations.AddIndex(
            model_name='linkingjob',
            index=models.Index(condition=models.Q(('undoes__isnull', False)), fields=['created'], name='linkingjob_undo'),
        ),
        migrations.AddIndex(
            model_name='linkingjob',
            index=models.Index(condition=models.Q(('options__dry_run', True)), fields=['created'], name='linkingjob_dry_run'),
        ),
        migrations.AddIndex(
            model_name='linkingjob',
            index=models.Index(condition=models.Q(('source', ''), _negated=True), fields=['source'], name='linkingjob_source'),
        ),
        migrations.AddIndex(
            model_name='linkingjob',
            index=models.Index(condition=models.Q(('purged', None), ('purging', True), _connector='OR'), fields=['finished'], name='linkingjob_purge'),
        ),
        migrations.RunPython(complete, migrations.RunPython.noop),
    ]
