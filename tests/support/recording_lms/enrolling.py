"""Course enrollments and roles through the models of the platform, for the workflow of ``living_lms``."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from common.djangoapps.course_modes.models import CourseMode
from common.djangoapps.student.models import CourseAccessRole, CourseEnrollment
from django.contrib.auth.models import User
from django.utils import timezone

State = tuple[bool, str]


@dataclass(slots=True)
class Change:
    """A row of a learner: its state before the learner, None where there was none; or a role that was granted."""

    user: User
    course_key: Any
    before: State | None = None
    role: str = ""


changes: dict[str, list[Change]] = {}
"""The changes of each learner that was linked, in the order in which they began."""
_open: list[Change] = []


@contextmanager
def learner(key: str) -> Iterator[None]:
    """Collect the changes of a learner, unless it fails."""
    _open.clear()
    yield
    changes[key] = _open.copy()


def _begin(user: User, course_key: Any, before: State | None) -> None:
    if not any((one.user, one.course_key, one.role) == (user, course_key, "") for one in _open):
        _open.append(Change(user, course_key, before))


def enroll(user: User, course_key: Any, mode: str) -> Any:
    """Enroll a user."""
    found = CourseEnrollment.objects.filter(user=user, course_id=course_key).first()
    _begin(user, course_key, found and (found.is_active, found.mode))
    return CourseEnrollment.enroll(user, course_key, mode=mode, check_access=False)


def update_enrollment(enrollment: Any, **new_values: Any) -> None:
    """Change a course enrollment, and announce it."""
    _begin(enrollment.user, enrollment.course_id, (enrollment.is_active, enrollment.mode))
    enrollment.update_enrollment(**new_values)


def save_mode(enrollment: Any, mode: str) -> None:
    """Save another mode, which is announced to nobody."""
    _begin(enrollment.user, enrollment.course_id, (enrollment.is_active, enrollment.mode))
    enrollment.mode = mode
    enrollment.save()


def modes_of(course_key: Any) -> Collection[str]:
    """Return the modes that a course run offers: audit where it offers none."""
    modes = CourseMode.objects.filter(course_id=course_key).exclude(mode_slug="credit")
    now = timezone.now()
    unexpired = {mode.mode_slug for mode in modes if not mode.expiration_datetime or mode.expiration_datetime > now}
    return unexpired or {CourseMode.DEFAULT_MODE_SLUG}


def grant(user: User, org: str, course_key: Any, role: str) -> None:
    """Grant a role on a course run, if the user does not hold it."""
    _, created = CourseAccessRole.objects.get_or_create(user=user, org=org, course_id=course_key, role=role)
    if created:
        _open.append(Change(user, course_key, role=role))
