"""A world in the database: written with fixed primary keys, read back as natural keys."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.utils import timezone
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
from tests.support.lms.database import clear_tables
from tests.support.worlds.values import Expiry, World

FIRST_ID = 1_000_000
"""Ids of a world's rows start here: above those of PostgreSQL's sequences, which do not count explicit ids."""

Row = tuple[Any, ...]
Snapshot = dict[str, list[Row]]
"""The rows of each table, by the table's name, in a fixed order."""


def build(world: World) -> None:
    """Write every row of ``world``; the tables must be empty."""
    keys = [CourseKey.from_string(course.key) for course in world.courses]
    get_user_model().objects.bulk_create(
        get_user_model()(id=FIRST_ID + n, username=account.username, is_active=account.is_active)
        for n, account in enumerate(world.accounts)
    )
    CourseOverview.objects.bulk_create(
        CourseOverview(id=key, org=key.org or "")
        for course, key in zip(world.courses, keys, strict=True)
        if course.exists
    )
    CourseMode.objects.bulk_create(
        CourseMode(course_id=key, mode_slug=slug, expiration_datetime=_moment(expiry))
        for course, key in zip(world.courses, keys, strict=True)
        for slug, expiry in course.modes
    )
    CourseEnrollment.objects.bulk_create(
        CourseEnrollment(
            id=FIRST_ID + n,
            user_id=FIRST_ID + row.account,
            course_id=keys[row.course],
            mode=row.mode,
            is_active=row.is_active,
        )
        for n, row in enumerate(world.enrolled)
    )
    CourseAccessRole.objects.bulk_create(
        CourseAccessRole(
            user_id=FIRST_ID + row.account, org=keys[row.course].org or "", course_id=keys[row.course], role=row.role
        )
        for row in world.held
    )
    ProgramEnrollment.objects.bulk_create(
        ProgramEnrollment(
            id=FIRST_ID + n,
            user_id=None if enrollment.account is None else FIRST_ID + enrollment.account,
            external_user_key=enrollment.key,
            program_uuid=enrollment.program,
            curriculum_uuid=enrollment.curriculum,
            status=enrollment.status,
        )
        for n, enrollment in enumerate(world.enrollments)
    )
    ProgramCourseEnrollment.objects.bulk_create(
        ProgramCourseEnrollment(
            id=FIRST_ID + n,
            program_enrollment_id=FIRST_ID + run.enrollment,
            course_key=keys[run.course],
            course_enrollment_id=None if run.enrolled is None else FIRST_ID + run.enrolled,
            status=run.status,
        )
        for n, run in enumerate(world.course_runs)
    )
    assigned = [(n, role) for n, run in enumerate(world.course_runs) for role in run.roles]
    CourseAccessRoleAssignment.objects.bulk_create(
        CourseAccessRoleAssignment(id=FIRST_ID + n, enrollment_id=FIRST_ID + run, role=role)
        for n, (run, role) in enumerate(assigned)
    )


def clear() -> None:
    """Empty every table of a world, users included, children first; beside an LMS also its history."""
    if settings.LINKING_LMS:
        clear_tables()
        return
    CourseAccessRoleAssignment.objects.all().delete()
    ProgramCourseEnrollment.objects.all().delete()
    ProgramEnrollment.objects.all().delete()
    CourseAccessRole.objects.all().delete()
    CourseEnrollment.objects.all().delete()
    CourseMode.objects.all().delete()
    CourseOverview.objects.all().delete()
    get_user_model().objects.all().delete()


def snapshot() -> Snapshot:
    """Return every row of every table without timestamps, and without the ids of rows that a run may create.

    Course enrollments and roles are identified by user and course instead.
    """
    return {
        "users": _sorted(get_user_model().objects.values_list("id", "username", "is_active")),
        "course overviews": _sorted(CourseOverview.objects.values_list("id", "org")),
        "course modes": _sorted(CourseMode.objects.values_list("course_id", "mode_slug")),
        "course enrollments": _sorted(
            CourseEnrollment.objects.values_list("user_id", "course_id", "mode", "is_active")
        ),
        "course access roles": _sorted(CourseAccessRole.objects.values_list("user_id", "org", "course_id", "role")),
        "program enrollments": _sorted(
            ProgramEnrollment.objects.values_list(
                "id", "user_id", "external_user_key", "program_uuid", "curriculum_uuid", "status"
            )
        ),
        "program course enrollments": _sorted(
            ProgramCourseEnrollment.objects.values_list(
                "id",
                "program_enrollment_id",
                "course_key",
                "status",
                "course_enrollment__user_id",
                "course_enrollment__course_id",
            )
        ),
        "role assignments": _sorted(CourseAccessRoleAssignment.objects.values_list("id", "enrollment_id", "role")),
    }


def _sorted(rows: Iterable[Row]) -> list[Row]:
    plain = (tuple(str(value) if isinstance(value, CourseKey) else value for value in row) for row in rows)
    return sorted(plain, key=repr)


def _moment(expiry: Expiry) -> datetime | None:
    match expiry:
        case Expiry.NEVER:
            return None
        case Expiry.PAST:
            return timezone.now() - timedelta(days=1)
        case Expiry.FUTURE:
            return timezone.now() + timedelta(days=1)
