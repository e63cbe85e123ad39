from django.db import migrations, models


class Migration(migrations.Migration):
    """Pauses of jobs, programs and everything."""

    dependencies = [("worker", "0016_left_in_inbox")]

    operations = [
        migrations.CreateModel(
            "Pause",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[(kind, kind.title()) for kind in ("everything", "program", "job")], max_length=10
                    ),
                ),
                ("target", models.UUIDField()),
                ("paused_by", models.CharField(max_length=255)),
                ("reason", models.CharField(blank=True, max_length=255)),
                ("created", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "default_permissions": (),
                "constraints": [models.UniqueConstraint(fields=["kind", "target"], name="pause_unique_target")],
            },
        ),
    ]
