from django.db import migrations, models


class Migration(migrations.Migration):
    """Fields get plain names, and one is gone. Its column and the old column names stay for workers of the release before."""

    dependencies = [("worker", "0006_slice_started")]

    operations = [
        # New rows no longer name the column.
        migrations.AlterField("linkingjob", "relies_on_chord", models.BooleanField(default=False, db_default=False)),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RemoveField("linkingjob", "relies_on_chord"),
                migrations.AlterField("linkingjob", "announced", models.DateTimeField(null=True, db_column="announced")),
                migrations.RenameField("linkingjob", "announced", "notified"),
                migrations.AlterField("inboxfile", "attended", models.DateTimeField(null=True, db_column="attended")),
                migrations.RenameField("inboxfile", "attended", "leased"),
            ]
        ),
    ]
