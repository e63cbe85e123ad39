"""Collect the signals of events that are recorded in this process, and deliver them here."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.test import override_settings

from linking import events
from linking.models import CourseEnrollment
from linking.signals import course_enrollment_changed


def username(course_enrollment: CourseEnrollment, **_: object) -> str:
    return course_enrollment.user.username


@contextmanager
def announced(fact: Callable[..., Any] = username) -> Iterator[list[Any]]:
    """Collect ``fact(course_enrollment=…, created=…, skip_refund=…, event=…)`` of each signal that is delivered."""
    facts: list[Any] = []

    def receive(*, sender: object, signal: object, **arguments: Any) -> None:
        facts.append(fact(**arguments))

    course_enrollment_changed.connect(receive)
    try:
        with override_settings(LINKING_EVENTS=True):
            yield facts
            deliver()
    finally:
        course_enrollment_changed.disconnect(receive)


def deliver() -> events.Delivery:
    """Deliver all events whose time has come."""
    done = events.deliver(None, seconds=60)
    assert done is not None, "another process delivers"
    return done
