"""Write events in the transaction of the change that they are about."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.apps import apps
from django.conf import settings

from linking.sql.statements import insert_rows

COLUMNS = {
    "user_id": "bigint",
    "program_enrollment_id": "bigint",
    "course_enrollment_id": "bigint",
    "course_key": "text",
    "step": "text",
}


def is_on() -> bool:
    """Return whether changes are recorded: somebody is configured to receive their events."""
    return getattr(settings, "LINKING_EVENTS", False) and apps.is_installed("linking.outbox")


def record(events: Sequence[tuple[Any, ...]], now: datetime) -> None:
    """Write events, in the order in which they happened; each has the values of COLUMNS."""
    insert_rows("linking_outbox_event", COLUMNS, events, recorded=now)
