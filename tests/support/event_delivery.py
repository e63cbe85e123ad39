"""Events to deliver, and a receiver of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.utils import timezone

from linking.events import Event, EventFailure
from linking.outbox.models import DeliveryLease
from linking.outbox.step import step_text
from linking.signals import course_enrollment_changed, course_role_changed
from tests.support.ids import ALGEBRA


def write_events(*users: int, enrollment: int | None = None) -> list[Event]:
    """Write an event for each user, in order."""
    last = max(Event.objects.values_list("pk", flat=True), default=0)
    Event.objects.bulk_create(
        Event(
            recorded=timezone.now(),
            user_id=user,
            program_enrollment_id=enrollment,
            course_key=str(ALGEBRA),
            course_enrollment_id=number,
            step=step_text("created", "enroll", None, (True, "masters")),
        )
        for number, user in enumerate(users)
    )
    return list(Event.objects.filter(pk__gt=last).order_by("pk"))


@contextmanager
def connected(receiver: Callable[..., Any]) -> Iterator[None]:
    """Connect a receiver to both signals."""
    course_enrollment_changed.connect(receiver)
    course_role_changed.connect(receiver)
    try:
        yield
    finally:
        course_enrollment_changed.disconnect(receiver)
        course_role_changed.disconnect(receiver)


class Receiver:
    """Notes the numbers of events; raises for those of some users."""

    def __init__(self, *refused: int) -> None:
        self.refused = set(refused)
        self.called: list[int] = []

    def receive(self, event: Event, **_: Any) -> None:
        self.called.append(event.pk)
        if event.user_id in self.refused:
            msg = "zq7-ada cannot be mailed"
            raise RuntimeError(msg)


def wait(failure: bool = True) -> None:
    """Let the time pass until failed events are tried again, and the lease of a killed process has ended."""
    if failure:
        EventFailure.objects.update(due=timezone.now())
    DeliveryLease.objects.update(until=timezone.now())
