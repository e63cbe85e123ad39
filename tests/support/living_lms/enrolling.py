"""Course enrollments and roles as the LMS writes them: each in a save of its own."""

from collections.abc import Collection

from django.contrib.auth.models import User
from django.utils import timezone

from tests.support.living_lms.models import (
    CourseAccessRole,
    CourseEnrollment,
    CourseEnrollmentAllowed,
    CourseMode,
)

DEFAULT_MODE = "audit"


def enroll(user: User, course_key: str, mode: str) -> CourseEnrollment:
    """Enroll a user: create the course enrollment or reactivate it, and claim one that was allowed by e-mail."""
    defaults = {"is_active": False, "mode": DEFAULT_MODE}
    found, _ = CourseEnrollment.objects.get_or_create(user=user, course_id=course_key, defaults=defaults)
    allowed = CourseEnrollmentAllowed.objects.filter(email=user.email, course_id=course_key, user=None)
    allowed.update(user=user)
    update_enrollment(found, is_active=True, mode=mode)
    return found


def update_enrollment(
    enrollment: CourseEnrollment, *, is_active: bool | None = None, mode: str | None = None, skip_refund: bool = False
) -> None:
    """Save a course enrollment if anything changes; there are no refunds."""
    before = enrollment.is_active, enrollment.mode
    after = before[0] if is_active is None else is_active, before[1] if mode is None else mode
    if before != after:
        enrollment.is_active, enrollment.mode = after
        enrollment.save()


def save_mode(enrollment: CourseEnrollment, mode: str) -> None:
    """Save another mode."""
    enrollment.mode = mode
    enrollment.save()


def modes_of(course_key: str) -> Collection[str]:
    """Return the modes that a course run offers: audit where it offers none."""
    modes = CourseMode.objects.filter(course_id=course_key).exclude(mode_slug="credit")
    now = timezone.now()
    unexpired = {mode.mode_slug for mode in modes if not mode.expiration_datetime or mode.expiration_datetime > now}
    return unexpired or {DEFAULT_MODE}


def grant(user: User, org: str, course_key: str, role: str) -> None:
    """Grant a role on a course run, if the user does not hold it."""
    CourseAccessRole.objects.get_or_create(user=user, org=org, course_id=course_key, role=role)
