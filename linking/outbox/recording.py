"""Write events in the transaction of the change that they are about."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from django.apps import apps
from django.conf import settings

from linking.sql.statements import insert_rows

COLUMNS = {
    "uuid": "uuid",
    "user_id": "bigint",
    "program_enrollment_id": "bigint",
    "kind": "text",
    "path": "text",
    "course_key": "text",
    "course_enrollment_id": "bigint",
    "before": "text",
    "after": "text",
    "skip_refund": "boolean",
    "role": "text",
}


def is_on() -> bool:
    """Return whether changes are recorded: somebody is configured to receive their events."""
    return getattr(settings, "LINKING_EVENTS", False) and apps.is_installed("linking.outbox")


def record(events: Sequence[tuple[Any, ...]], now: datetime) -> None:
    """Write events, in the order in which they happened; each has the values of COLUMNS but the first."""
    rows = [(uuid4().hex, *event) for event in events]
    insert_rows("linking_outbox_event", COLUMNS, rows, recorded=now)
