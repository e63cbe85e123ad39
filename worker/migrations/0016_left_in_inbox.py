"""A state of entries that are left in the inbox; the column stays as it is."""

from django.db import migrations, models

STATES = ["taken", "submitted", "refused", "in place", "done", "rejected", "left"]


class Migration(migrations.Migration):
    dependencies = [("worker", "0015_databases_differ")]

    operations = [
        migrations.AlterField(
            model_name="inboxfile",
            name="state",
            field=models.CharField(
                choices=[(state, state.title()) for state in STATES], default="taken", max_length=9
            ),
        ),
    ]
