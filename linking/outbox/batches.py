"""Batches: events that were sent to the task of ``LINKING_EVENTS_TASK`` and that it has not acknowledged yet."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from django.db import transaction
from django.utils import timezone

from linking.outbox.failures import note_failures, remove
from linking.outbox.models import Event, EventBatch

SIZE = 100
"""Most events in a message."""
ON_THE_WAY = 1_600
"""Most events whose batches are not acknowledged."""
UNSENT_WAIT = 10.0
"""Seconds after which a batch that the broker may not have accepted is sent again."""
FIRST_WAIT = 300.0
"""Seconds after which a batch that was not acknowledged is sent again; each further time is twice as long."""
LONGEST_WAIT = 3600.0
"""Most seconds between two times."""


def events_on_the_way() -> set[int]:
    """Return the ids of the events whose batches are not acknowledged."""
    return {event_id for ids in EventBatch.objects.values_list("events", flat=True) for event_id in ids}


def note_sent(events: Sequence[Event]) -> EventBatch:
    """Write a batch, before its message is sent."""
    return EventBatch.objects.create(id=uuid4(), events=[event.pk for event in events], due=_after(UNSENT_WAIT))


def note_accepted(batch: EventBatch) -> None:
    """Write that the broker has accepted the message of a batch, unless the batch was acknowledged by now."""
    wait = min(FIRST_WAIT * 2**batch.sent, LONGEST_WAIT)
    EventBatch.objects.filter(pk=batch.pk).update(due=_after(wait), sent=batch.sent + 1)


def claim_overdue() -> EventBatch | None:
    """Return a batch whose acknowledgement is overdue, after it is marked as being sent; None if there is none."""
    batch = EventBatch.objects.filter(due__lte=timezone.now()).order_by("due").first()
    if batch is not None:
        EventBatch.objects.filter(pk=batch.pk).update(due=_after(UNSENT_WAIT))
    return batch


def events_of(batch: EventBatch) -> list[Event]:
    """Return the events of a batch that were not discarded, in order."""
    return list(Event.objects.filter(pk__in=batch.events).order_by("pk"))


def _after(seconds: float) -> datetime:
    return timezone.now() + timedelta(seconds=seconds)


def acknowledge(batch_id: UUID) -> int:
    """Delete the events of a batch; return their number, 0 if it was acknowledged or refused before."""
    with transaction.atomic():
        batch = EventBatch.objects.select_for_update().filter(pk=batch_id).first()
        if batch is None:
            return 0
        remove(batch.events)
        batch.delete()
    return len(batch.events)


def refuse(batch_id: UUID, error: str) -> int:
    """Count an attempt at the events of a batch, each of which is sent alone from now on; return their number."""
    with transaction.atomic():
        batch = EventBatch.objects.select_for_update().filter(pk=batch_id).first()
        if batch is None:
            return 0
        note_failures(dict.fromkeys(batch.events, error), received=batch.events)
        batch.delete()
    return len(batch.events)
