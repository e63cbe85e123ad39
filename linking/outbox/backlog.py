"""How many events wait for delivery."""

from dataclasses import dataclass
from datetime import datetime

from linking.outbox.failures import given_up
from linking.outbox.models import Event, EventFailure

MOST = 100_000
"""Most events that are counted: an exact number would cost more the more there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """The events that are not delivered yet; each number is MOST at most.

    ``oldest`` is when the first was recorded, ``failed`` the number of those that were given up.
    """

    undelivered: int
    oldest: datetime | None
    failed: int


def backlog() -> Backlog:
    """Count the events that are not delivered yet, in three statements."""
    return Backlog(
        undelivered=Event.objects.all()[:MOST].count(),
        oldest=Event.objects.order_by("pk").values_list("recorded", flat=True).first(),
        failed=given_up().order_by()[:MOST].count(),
    )


def newest_failures(limit: int) -> list[EventFailure]:
    """Return the events that failed, with their events: first those that were given up, then those tried last."""
    found = EventFailure.objects.select_related("event").order_by("failed", "-due")
    return sorted(found[:limit], key=lambda one: (one.failed is None, one.pk))
