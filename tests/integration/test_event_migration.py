"""Events of an earlier release are the same after the migration."""

from uuid import uuid4

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from linking.events import Event

APP = "linking_outbox"


@pytest.mark.django_db(transaction=True)
def test_events_that_wait_for_delivery_keep_their_steps() -> None:
    MigrationExecutor(connection).migrate([(APP, None)])
    try:
        MigrationExecutor(connection).migrate([(APP, "0001_events")])
        old = MigrationExecutor(connection).loader.project_state([(APP, "0001_events")]).apps.get_model(APP, "Event")
        common = {"recorded": timezone.now(), "user_id": 1, "course_key": "course-v1:O+A+1", "skip_refund": False}
        enrolled = {"kind": "mode_changed", "path": "save", "before": "active audit", "after": 'active "é"'}
        steps = [
            enrolled | {"role": ""},
            {"kind": "role_granted", "path": "role", "before": "", "after": "", "role": "staff"},
            enrolled | {"role": ""},
        ]
        for values in steps:
            old.objects.create(uuid=uuid4(), **common, **values)
    finally:
        MigrationExecutor(connection).migrate([(APP, "0002_narrow_events")])

    found = [
        {name: getattr(event, name) for name in ("kind", "path", "before", "after", "role")}
        for event in Event.objects.order_by("pk")
    ]
    assert found == steps
    assert not any(event.skip_refund for event in Event.objects.all())
