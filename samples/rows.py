"""Write the sample program to the database."""

from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.db import transaction

from linking.models import (
    CourseAccessRoleAssignment,
    CourseEnrollment,
    CourseMode,
    CourseOverview,
    ProgramCourseEnrollment,
    ProgramEnrollment,
)
from samples.program import COURSES, PROGRAM_UUID, SampleProgram


@transaction.atomic
def write_rows(sample: SampleProgram) -> None:
    """Write the rows that exist before linking to an empty database."""
    users = _write_users(sample)
    _write_courses()
    course_enrollments = _write_course_enrollments(sample, users)
    program_enrollments = ProgramEnrollment.objects.bulk_create(
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
    ProgramCourseEnrollment.objects.bulk_create(program_course_enrollment for program_course_enrollment, _ in pairs)
    CourseAccessRoleAssignment.objects.bulk_create(
        CourseAccessRoleAssignment(role="staff", enrollment=program_course_enrollment)
        for program_course_enrollment, assigned in pairs
        if assigned
    )


def _write_users(sample: SampleProgram) -> dict[str, int]:
    model = get_user_model()
    password = make_password(None)  # Unusable: no login.
    users = model.objects.bulk_create(
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
    CourseEnrollment.objects.bulk_create(rows.values())
    return rows
