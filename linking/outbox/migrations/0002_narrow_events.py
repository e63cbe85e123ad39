"""One column for what is the same for many learners, and no column for the id that receivers get."""

from typing import Any

from django.db import migrations, models

from linking.outbox.step import Step, write_step

FIELDS = ("kind", "path", "before", "after", "skip_refund", "role")


def fill(apps: Any, _: Any) -> None:
    """Write the steps of events that are not delivered yet; there are few different ones."""
    events = apps.get_model("linking_outbox", "Event").objects
    for values in list(events.values_list(*FIELDS).distinct()):
        events.filter(**dict(zip(FIELDS, values, strict=True))).update(step=write_step(Step(*values)))


class Migration(migrations.Migration):
    dependencies = [("linking_outbox", "0001_events")]

    operations = [
        migrations.AddField("event", "step", models.TextField(default=""), preserve_default=False),
        migrations.RunPython(fill, migrations.RunPython.noop, elidable=True),
        *(migrations.RemoveField("event", name) for name in ("uuid", *FIELDS)),
    ]
