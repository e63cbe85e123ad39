"""Rows for a test, one call each, with everything that the test does not care about filled in."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from opaque_keys.edx.keys import CourseKey

from linking.models import (
    CourseAccessRole,
    CourseAccessRoleAssignment,
    CourseEnrollment,
    CourseMode,
    CourseOverview,
    ProgramCourseEnrollment,
    ProgramEnrollment,
)

PROGRAM = UUID("abcdef11-1111-4111-8111-111111111111")
OTHER_PROGRAM = UUID("22222222-2222-4222-8222-222222222222")
CURRICULUM = UUID("33333333-3333-4333-8333-333333333333")
OTHER_CURRICULUM = UUID("44444444-4444-4444-8444-444444444444")

ALGEBRA = CourseKey.from_string("course-v1:Org+Algebra+2024")
BIOLOGY = CourseKey.from_string("course-v1:Org+Biology+2024")


def make_user(username: str, *, is_active: bool = True) -> User:
    """Write an LMS user."""
    return get_user_model().objects.create(username=username, is_active=is_active)


def make_course(key: CourseKey = ALGEBRA, modes: dict[str, datetime | None] | None = None) -> CourseKey:
    """Write a course run that offers ``modes``: slug to moment of expiry, None for never."""
    CourseOverview.objects.create(id=key, org=key.org or "")
    for slug, expires in (modes or {}).items():
        CourseMode.objects.create(course_id=key, mode_slug=slug, expiration_datetime=expires)
    return key


def make_place(key: str | None, user: User | None = None, **columns: Any) -> ProgramEnrollment:
    """Write a program enrollment, waiting unless ``user`` is given."""
    columns = {"program_uuid": PROGRAM, "curriculum_uuid": CURRICULUM} | columns
    return ProgramEnrollment.objects.create(external_user_key=key, user=user, **columns)


def make_enrollment(
    user: User, course: CourseKey = ALGEBRA, mode: str = "masters", *, is_active: bool = True
) -> CourseEnrollment:
    """Write a course enrollment."""
    return CourseEnrollment.objects.create(user=user, course_id=course, mode=mode, is_active=is_active)


def make_course_run(
    place: ProgramEnrollment,
    course: CourseKey = ALGEBRA,
    enrollment: CourseEnrollment | None = None,
    *,
    status: str = "active",
    roles: tuple[str, ...] = (),
) -> ProgramCourseEnrollment:
    """Write a program course enrollment with its role assignments, realized if ``enrollment`` is given."""
    run = ProgramCourseEnrollment.objects.create(
        program_enrollment=place, course_key=course, course_enrollment=enrollment, status=status
    )
    for role in roles:
        CourseAccessRoleAssignment.objects.create(enrollment=run, role=role)
    return run


def make_role(user: User, course: CourseKey = ALGEBRA, role: str = "staff") -> CourseAccessRole:
    """Write a course role that ``user`` holds."""
    return CourseAccessRole.objects.create(user=user, org=course.org or "", course_id=course, role=role)


def user_of(place: ProgramEnrollment) -> str | None:
    """Return the username that ``place`` is linked to now."""
    place.refresh_from_db()
    return place.user.username if place.user else None


def enrolled(user: User) -> dict[str, tuple[str, bool]]:
    """Return ``{course: (mode, is_active)}`` of every course enrollment of ``user``."""
    rows = CourseEnrollment.objects.filter(user=user)
    return {str(row.course_id): (row.mode, row.is_active) for row in rows}


def roles_of(user: User) -> set[tuple[str, str, str]]:
    """Return ``(org, course, role)`` of every course role of ``user``."""
    return {(row.org, str(row.course_id), row.role) for row in CourseAccessRole.objects.filter(user=user)}


def assignments_left() -> set[tuple[str, str]]:
    """Return ``(course, role)`` of every role assignment that is still there."""
    rows = CourseAccessRoleAssignment.objects.select_related("enrollment")
    return {(str(row.enrollment.course_key), row.role) for row in rows}
