"""Collect ``course_enrollment_changed`` signals."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from linking.models import CourseEnrollment
from linking.signals import course_enrollment_changed


def username(course_enrollment: CourseEnrollment, **_: object) -> str:
    return course_enrollment.user.username


@contextmanager
def announced(fact: Callable[..., Any] = username) -> Iterator[list[Any]]:
    """Collect ``fact(course_enrollment=…, created=…, skip_refund=…)`` of each signal."""
    facts: list[Any] = []

    def receive(*, sender: object, signal: object, **arguments: Any) -> None:
        facts.append(fact(**arguments))

    course_enrollment_changed.connect(receive)
    try:
        yield facts
    finally:
        course_enrollment_changed.disconnect(receive)
