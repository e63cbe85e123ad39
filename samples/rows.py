"""Write the sample program to the database."""

from collections.abc import Iterable
from typing import TypeVar

from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.db import connection, transaction
from django.db.models import Model

from linking.models import (
    CourseAccessRoleAssignment,
    CourseEnrollment,
    CourseMode,
    CourseOverview,
    ProgramCourseEnrollment,
    ProgramEnrollment,
)
from samples.program import COURSES, PROGRAM_UUID, SampleProgram

T = TypeVar("T", bound=Model)


@transaction.atomic
def write_rows(sample: SampleProgram) -> None:
    """Write the rows that exist before linking to an empty database."""
    users = _write_users(sample)
    _write_courses()
    course_enrollments = _write_course_enrollments(sample, users)
    program_enrollments = bulk_create(
        ProgramEnrollment(
            user_id=users[enrollment.holder] if enrollment.holder else None,
            external_user_key=enrollment.key,
            program_uuid=PROGRAM_UUID,
            curriculum_uuid=enrollment.curriculum,
        )
        for enrollment in sample.enrollments
    )
    pairs = [
        (
            ProgramCourseEnrollment(
                program_enrollment=program_enrollment,
                course_key=course.key,
                status=enrollment.status,
                course_enrollment=course_enrollments[enrollment.holder, course.key] if enrollment.holder else None,
            ),
            enrollment.assigned,
        )
        for program_enrollment, enrollment in zip(program_enrollments, sample.enrollments, strict=True)
        for course in enrollment.courses
    ]
    bulk_create(program_course_enrollment for program_course_enrollment, _ in pairs)
    CourseAccessRoleAssignment.objects.bulk_create(
        CourseAccessRoleAssignment(role="staff", enrollment=program_course_enrollment)
        for program_course_enrollment, assigned in pairs
        if assigned
    )


def _write_users(sample: SampleProgram) -> dict[str, int]:
    model = get_user_model()
    password = make_password(None)  # Unusable: no login.
    users = bulk_create(
        model(username=user.username, is_active=user.is_active, password=password) for user in sample.users
    )
    return {user.username: user.pk for user in users}


def _write_courses() -> None:
    CourseOverview.objects.bulk_create(
        CourseOverview(id=course.key, org="NorthfieldX", display_name=course.key.split("+")[1]) for course in COURSES
    )
    CourseMode.objects.bulk_create(
        CourseMode(course_id=course.key, mode_slug=mode, mode_display_name=mode.title())
        for course in COURSES
        for mode in course.modes
    )


def _write_course_enrollments(sample: SampleProgram, users: dict[str, int]) -> dict[tuple[str, str], CourseEnrollment]:
    rows = {
        (seat.username, seat.course.key): CourseEnrollment(
            user_id=users[seat.username], course_id=seat.course.key, mode=seat.mode, is_active=seat.is_active
        )
        for seat in sample.seats
    } | {
        (enrollment.holder, course.key): CourseEnrollment(
            user_id=users[enrollment.holder], course_id=course.key, mode="masters", is_active=True
        )
        for enrollment in sample.enrollments
        if enrollment.holder
        for course in enrollment.courses
    }
    bulk_create(rows.values())
    return rows


def bulk_create(rows: Iterable[T]) -> list[T]:
    """Write rows of one model, and set their ids: not every database returns those of many rows."""
    rows = list(rows)
    if not rows:
        return rows
    manager = type(rows[0])._default_manager  # noqa: SLF001 - the public way to a model's manager
    if not connection.features.can_return_rows_from_bulk_insert:
        newest = manager.order_by("-pk").first()
        for row_id, row in enumerate(rows, start=newest.pk + 1 if newest else 1):
            row.pk = row_id
    return manager.bulk_create(rows)
