from django.db import migrations, models


class Migration(migrations.Migration):
    """The bucket of LINKING_MAX_LEARNERS_PER_SECOND."""

    dependencies = [("worker", "0017_pauses")]

    operations = [
        migrations.CreateModel(
            "RateLimit",
            [
                ("id", models.PositiveSmallIntegerField(primary_key=True, serialize=False)),
                ("free_at", models.FloatField(default=0)),
            ],
            options={"default_permissions": ()},
        ),
    ]
