"""Linking as the LMS does it, one learner after the other and a save per row, by the rules of the domain contract."""

from collections.abc import Collection
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from opaque_keys.edx.keys import CourseKey

from tests.support.living_lms.enrolling import enroll, grant, modes_of, update_enrollment
from tests.support.living_lms.models import CourseEnrollment, CourseOverview, ProgramCourseEnrollment, ProgramEnrollment


class NonExistentCourseError(Exception):
    """There is no such course run."""


def link_program_enrollments(program: str, mapping: dict[str, str]) -> dict[str, str]:
    """Link a mapping in its order; return the type of the error of each learner that was not linked."""
    errors = {}
    users = {user.username: user for user in User.objects.filter(username__in=set(mapping.values()))}
    fetched = _fetch(UUID(program), mapping)
    for key, username in mapping.items():
        user = users.get(username)
        # Once: an earlier learner with the same key may have changed the row.
        enrollment = fetched.pop(fold(key), None) or _find(UUID(program), key)
        if user is None or enrollment is None or enrollment.user == user:
            errors[key] = "not linked"
            continue
        try:
            with transaction.atomic():
                if enrollment.user is not None:
                    unlink(enrollment)
                link(enrollment, user)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others are linked
            errors[key] = type(error).__name__
    return errors


def _fetch(program: UUID, keys: Collection[str]) -> dict[str, ProgramEnrollment]:
    """Return the enrollments of keys by folded key, where it is clear which one a key means."""
    plain = {key for key in keys if key.isascii()}  # The database ignores their case as we do.
    rows = ProgramEnrollment.objects.filter(program_uuid=program, external_user_key__in=plain)
    found: dict[str, list[ProgramEnrollment]] = {}
    for row in rows.select_related("user").prefetch_related("courses"):
        found.setdefault(fold(row.external_user_key or ""), []).append(row)
    return {key: rows[0] for key, rows in found.items() if len(rows) == 1 and key.isascii()}


def _find(program: UUID, key: str) -> ProgramEnrollment | None:
    """Return the program enrollment that a key means: an exact match, else the newest without regard to case."""
    rows = ProgramEnrollment.objects.filter(program_uuid=program).exclude(external_user_key=None)
    matches = [row for row in rows if fold(row.external_user_key or "") == fold(key)]
    return max(matches, key=lambda row: (row.external_user_key == key, row.pk), default=None)


def fold(text: str) -> str:
    """Return a text in lower case, letter by letter."""
    return "".join(letter.lower() if len(letter.lower()) == 1 else letter for letter in text)


def unlink(enrollment: ProgramEnrollment) -> None:
    """Deactivate the course enrollments of a program enrollment, and remove its user."""
    for course in enrollment.courses.all():
        realized = course.course_enrollment
        if realized is not None:
            mode = "audit" if "audit" in modes_of(realized.course_id or "") else None
            update_enrollment(realized, is_active=False, mode=mode)
            course.course_enrollment = None
            course.save()
    enrollment.user = None
    enrollment.save()


def link(enrollment: ProgramEnrollment, user: User) -> None:
    """Set the user of a waiting program enrollment, enroll it in the course runs, grant the assigned roles."""
    enrollment.user = user
    enrollment.save()
    for course in enrollment.courses.all():
        course.course_enrollment = _enroll_in_masters(user, course.course_key, course.status)
        course.save()
        if user.is_active:
            _grant_roles(course, user)


def _enroll_in_masters(user: User, course_key: str, status: str) -> CourseEnrollment:
    if not any(course.id == course_key for course in CourseOverview.objects.filter(id=course_key)):
        raise NonExistentCourseError
    if status not in {"active", "inactive"}:
        raise ValueError(status)
    enrollment = CourseEnrollment.objects.filter(user=user, course_id=course_key, is_active=True).first()
    if enrollment is None:
        enrollment = enroll(user, course_key, "masters")
    elif enrollment.mode in {"audit", "honor"}:
        enrollment.mode = "masters"
        enrollment.save()
    if enrollment.mode == "masters" and status == "inactive":
        update_enrollment(enrollment, is_active=False)
    return enrollment


def _grant_roles(course: ProgramCourseEnrollment, user: User) -> None:
    for assignment in course.assignments.all():
        if assignment.role != "staff":
            continue
        try:
            with transaction.atomic():
                grant(user, CourseKey.from_string(course.course_key).org or "", course.course_key, assignment.role)
                assignment.delete()
        except Exception:  # noqa: BLE001, S112 - a role fails no learner
            continue
