"""Events that could not be delivered: when they are tried again, and what an operator may do with them."""

import logging
from collections.abc import Collection, Mapping
from datetime import timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from linking.outbox.models import Event, EventFailure, find_by_uuid
from linking.sql.statements import delete_rows

log = logging.getLogger(__name__)

ATTEMPTS = 12
"""Attempts before an event is given up: some three hours."""
FIRST_PAUSE = 5.0
"""Seconds before the second attempt; each further pause is twice as long."""
LONGEST_PAUSE = 3600.0
"""Most seconds between two attempts."""


def pause_after(attempts: int) -> timedelta:
    """Return the time between an attempt and the next."""
    return timedelta(seconds=min(FIRST_PAUSE * 2 ** (attempts - 1), LONGEST_PAUSE))


def note_failures(errors: Mapping[int, str], *, received: Collection[int] = ()) -> None:
    """Count an attempt at events that failed.

    Args:
        errors: the error by id of the event.
        received: events whose receivers were called without error.
    """
    now = timezone.now()
    rows = EventFailure.objects.in_bulk(list(errors))
    for event_id, error in errors.items():
        row = rows.setdefault(event_id, EventFailure(event_id=event_id))
        row.attempts += 1
        row.error = error
        row.due = now + pause_after(row.attempts)
        row.failed = now if row.attempts >= ATTEMPTS else None
        row.received = row.received or event_id in received
    fields = ["attempts", "due", "failed", "error", "received"]
    by_key = ["event"] if connection.features.supports_update_conflicts_with_target else None
    EventFailure.objects.bulk_create(rows.values(), update_conflicts=True, update_fields=fields, unique_fields=by_key)
    for row in rows.values():
        if row.failed:
            log.error("event %s is given up after %s attempts: %s", row.event_id, row.attempts, row.error)


def note_errors(errors: Mapping[int, str]) -> None:
    """Write the errors of attempts that are counted already."""
    for event_id, error in errors.items():
        EventFailure.objects.filter(pk=event_id).update(error=error)


def remove(ids: Collection[int]) -> None:
    """Delete events that were delivered, or are not to be delivered."""
    with transaction.atomic():
        EventFailure.objects.filter(pk__in=ids).delete()
        delete_rows("linking_outbox_event", ids)


def given_up() -> QuerySet[EventFailure]:
    """Return the events that were given up, the first one first."""
    return EventFailure.objects.exclude(failed=None).order_by("pk")


def retry(found: QuerySet[EventFailure]) -> int:
    """Try events again at once, with all attempts; return their number."""
    return found.update(attempts=0, failed=None, due=timezone.now())


def discard(found: QuerySet[EventFailure]) -> int:
    """Delete events without delivering them; later events of their users are delivered then. Return their number."""
    ids = list(found.values_list("pk", flat=True))
    remove(ids)
    return len(ids)


def find_event(text: str) -> Event | None:
    """Return the event with a number, or the id that receivers know it by."""
    if text.isdecimal():
        return Event.objects.filter(pk=min(int(text), 2**63 - 1)).first()
    try:
        return find_by_uuid(UUID(text))
    except ValueError:
        return None
