"""Jobs that were refused for their relinks keep the number of these."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("worker", "0012_request_attempts")]

    operations = [
        migrations.AddField(
            model_name="linkingjob",
            name="relinks",
            field=models.PositiveIntegerField(null=True),
        ),
    ]
