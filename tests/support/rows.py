"""Write the rows of a test, one call each; columns that the test does not name get defaults."""

from datetime import datetime
from typing import Any

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
from tests.support.ids import ALGEBRA, CURRICULUM, PROGRAM


def make_user(username: str, *, is_active: bool = True) -> User:
    """Write an LMS user."""
    return get_user_model().objects.create(username=username, is_active=is_active)


def make_course(key: CourseKey = ALGEBRA, modes: dict[str, datetime | None] | None = None) -> CourseKey:
    """Write a course run that offers ``modes``: slug to moment of expiry, None for never."""
    CourseOverview.objects.create(id=key, org=key.org or "")
    for slug, expires in (modes or {}).items():
        CourseMode.objects.create(course_id=key, mode_slug=slug, expiration_datetime=expires)
    return key


def enroll(key: str | None, user: User | None = None, **columns: Any) -> ProgramEnrollment:
    """Write a program enrollment, waiting unless ``user`` is given."""
    columns = {"program_uuid": PROGRAM, "curriculum_uuid": CURRICULUM} | columns
    return ProgramEnrollment.objects.create(external_user_key=key, user=user, **columns)


def enroll_in_course(
    user: User, course: CourseKey = ALGEBRA, mode: str = "masters", *, is_active: bool = True
) -> CourseEnrollment:
    """Write a course enrollment."""
    return CourseEnrollment.objects.create(user=user, course_id=course, mode=mode, is_active=is_active)


def add_course_run(
    enrollment: ProgramEnrollment,
    course: CourseKey = ALGEBRA,
    course_enrollment: CourseEnrollment | None = None,
    *,
    status: str = "active",
    roles: tuple[str, ...] = (),
) -> ProgramCourseEnrollment:
    """Write a program course enrollment with its role assignments, realized if ``course_enrollment`` is given."""
    run = ProgramCourseEnrollment.objects.create(
        program_enrollment=enrollment, course_key=course, course_enrollment=course_enrollment, status=status
    )
    for role in roles:
        CourseAccessRoleAssignment.objects.create(enrollment=run, role=role)
    return run


def make_role(user: User, course: CourseKey = ALGEBRA, role: str = "staff") -> CourseAccessRole:
    """Write a course role that ``user`` holds."""
    return CourseAccessRole.objects.create(user=user, org=course.org or "", course_id=course, role=role)
