from django.db import migrations, models


class Migration(migrations.Migration):
    """Fields get plain names; their columns keep the old ones, which workers of the release before still use."""

    dependencies = [("worker", "0006_slice_started")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField("linkingjob", "announced", models.DateTimeField(null=True, db_column="announced")),
                migrations.RenameField("linkingjob", "announced", "notified"),
                migrations.AlterField("inboxfile", "attended", models.DateTimeField(null=True, db_column="attended")),
                migrations.RenameField("inboxfile", "attended", "leased"),
            ]
        )
    ]
