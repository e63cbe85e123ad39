import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """The queue of jobs over the same learners. Jobs that are open already have no claims: let them end first."""

    dependencies = [("worker", "0010_growth")]

    operations = [
        migrations.CreateModel(
            "Claim",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "job",
                    models.ForeignKey(
                        "worker.linkingjob", django.db.models.deletion.CASCADE, db_constraint=False, related_name="claims"
                    ),
                ),
                ("token", models.BigIntegerField()),
                ("brings", models.BigIntegerField(null=True)),
            ],
            options={
                "default_permissions": (),
                "indexes": [models.Index(fields=["token", "id"], name="claim_token")],
            },
        ),
    ]
