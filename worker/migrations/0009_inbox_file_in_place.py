from django.db import migrations, models


class Migration(migrations.Migration):
    """A file that stays in place has a state of its own until all its jobs are submitted."""

    dependencies = [("worker", "0008_route_markers")]

    operations = [
        migrations.AlterField(
            "inboxfile",
            "state",
            models.CharField(
                choices=[
                    ("taken", "Taken"),
                    ("submitted", "Submitted"),
                    ("refused", "Refused"),
                    ("in place", "In Place"),
                    ("done", "Done"),
                    ("rejected", "Rejected"),
                ],
                default="taken",
                max_length=9,
            ),
        ),
    ]
