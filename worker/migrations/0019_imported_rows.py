from django.db import migrations, models


class Migration(migrations.Migration):
    """The last file of each program, for imports in diff mode."""

    dependencies = [("worker", "0018_rate_limit")]

    operations = [
        migrations.CreateModel(
            "ProgramFile",
            [
                ("program_uuid", models.UUIDField(primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=255)),
                ("digest", models.CharField(max_length=64)),
                ("total", models.PositiveIntegerField()),
                ("imported", models.DateTimeField(auto_now=True)),
            ],
            options={"default_permissions": ()},
        ),
        migrations.CreateModel(
            "ImportedRow",
            [
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "program_uuid", "key_digest", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("program_uuid", models.UUIDField()),
                ("key_digest", models.UUIDField()),
                ("row_digest", models.BigIntegerField()),
            ],
            options={"default_permissions": ()},
        ),
        migrations.CreateModel(
            "UnsettledImport",
            [
                ("job_id", models.UUIDField(primary_key=True, serialize=False)),
                ("program_uuid", models.UUIDField()),
            ],
            options={
                "default_permissions": (),
                "indexes": [models.Index(fields=["program_uuid"], name="unsettled_program")],
            },
        ),
    ]
