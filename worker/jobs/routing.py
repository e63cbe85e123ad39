"""Routes of slices: small jobs pass large ones. A marker in a route shows how far its messages were delivered.

A marker is a message that carries the time at which it was sent. The messages of a route are delivered in the order in
which they were sent, so a marker that was received proves that all messages sent before it were delivered.
"""

from dataclasses import dataclass
from datetime import datetime

from worker.models import LinkingJob, RouteMarker
from worker.queue_names import BULK, TASKS


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A queue, and a priority in it where the broker has priorities.

    kombu has steps of 3; Redis delivers the lowest number first. In RabbitMQ's quorum queues the highest number comes
    first (``worker/celery/messages.py`` converts it). Its classic queues ignore the number, since callers declare them
    without priorities: there, a queue is one route by several names.
    """

    queue: str
    priority: int
    most: int  # Most learners of a job whose slices take this route.

    @property
    def name(self) -> str:
        """The name that identifies the route in the ledger and in markers."""
        return f"{self.queue}:{self.priority}"


SMALL, *_ = ROUTES = (
    Route(queue=TASKS, priority=0, most=100),
    Route(queue=BULK, priority=3, most=10_000),
    Route(queue=BULK, priority=6, most=2**31 - 1),
)
"""All routes. Requests, ends of jobs and callbacks share the first with the slices of small jobs."""


def route_of(job: LinkingJob) -> Route:
    """Return the route of a job's slices."""
    return next(route for route in ROUTES if job.total <= route.most)


def note_marker(name: str, sent: datetime) -> None:
    """Write that a marker was received, unless a newer one was."""
    created = RouteMarker.objects.bulk_create([RouteMarker(name=name, sent=sent)], ignore_conflicts=True)
    RouteMarker.objects.filter(name__in=[marker.name for marker in created], sent__lt=sent).update(sent=sent)


def delivered_until() -> dict[str, datetime]:
    """Return, by name of the route, the time before which all its messages were sent that are known as delivered."""
    return dict(RouteMarker.objects.values_list("name", "sent"))
