"""Linking as the LMS does it, one learner after the other and a save per row, by the rules of the domain contract.

The workflow is the same for two sets of models: those beside it, which keep history only, and those of the platform's
stand-ins, which announce each change as well.
"""

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from opaque_keys.edx.keys import CourseKey


class NonExistentCourseError(Exception):
    """There is no such course run."""


def fold(text: str) -> str:
    """Return a text in lower case, letter by letter."""
    return "".join(letter.lower() if len(letter.lower()) == 1 else letter for letter in text)


def no_context(_key: str) -> AbstractContextManager[None]:
    """Return a context for a learner that does nothing."""
    return nullcontext()


@dataclass(frozen=True, slots=True)
class Linking:
    """The workflow on some models.

    ``enrolling`` has the functions of :mod:`tests.support.living_lms.enrolling`; ``learner`` is entered for each one.
    """

    program_enrollments: Any
    course_enrollments: Any
    course_overviews: Any
    enrolling: Any
    learner: Callable[[str], AbstractContextManager[None]] = no_context

    def link_program_enrollments(self, program: str, mapping: dict[str, str]) -> dict[str, str]:
        """Link a mapping in its order; return the type of the error of each learner that was not linked."""
        errors = {}
        users = {user.username: user for user in User.objects.filter(username__in=set(mapping.values()))}
        fetched = self._fetch(UUID(program), mapping)
        for key, username in mapping.items():
            user = users.get(username)
            # Once: an earlier learner with the same key may have changed the row.
            enrollment = fetched.pop(fold(key), None) or self._find(UUID(program), key)
            if user is None or enrollment is None or enrollment.user == user:
                errors[key] = "not linked"
                continue
            try:
                with self.learner(key), transaction.atomic():
                    if enrollment.user is not None:
                        self.unlink(enrollment)
                    self.link(enrollment, user)
            except Exception as error:  # noqa: BLE001 - whatever it is, the others are linked
                errors[key] = type(error).__name__
        return errors

    def _fetch(self, program: UUID, keys: Collection[str]) -> dict[str, Any]:
        """Return the enrollments of keys by folded key, where it is clear which one a key means."""
        plain = {key for key in keys if key.isascii()}  # The database ignores their case as we do.
        rows = self.program_enrollments.objects.filter(program_uuid=program, external_user_key__in=plain)
        found: dict[str, list[Any]] = {}
        for row in rows.select_related("user").prefetch_related("courses"):
            found.setdefault(fold(row.external_user_key or ""), []).append(row)
        return {key: rows[0] for key, rows in found.items() if len(rows) == 1 and key.isascii()}

    def _find(self, program: UUID, key: str) -> Any:
        """Return the program enrollment that a key means: an exact match, else the newest without regard to case."""
        rows = self.program_enrollments.objects.filter(program_uuid=program).exclude(external_user_key=None)
        matches = [row for row in rows if fold(row.external_user_key or "") == fold(key)]
        return max(matches, key=lambda row: (row.external_user_key == key, row.pk), default=None)

    def unlink(self, enrollment: Any) -> None:
        """Deactivate the course enrollments of a program enrollment, and remove its user."""
        for course in enrollment.courses.all():
            realized = course.course_enrollment
            if realized is not None:
                mode = "audit" if "audit" in self.enrolling.modes_of(realized.course_id or "") else None
                self.enrolling.update_enrollment(realized, is_active=False, mode=mode, skip_refund=True)
                course.course_enrollment = None
                course.save()
        enrollment.user = None
        enrollment.save()

    def link(self, enrollment: Any, user: User) -> None:
        """Set the user of a waiting program enrollment, enroll it in the course runs, grant the assigned roles."""
        enrollment.user = user
        enrollment.save()
        for course in enrollment.courses.all():
            course.course_enrollment = self._enroll_in_masters(user, course.course_key, course.status)
            course.save()
            if user.is_active:
                self._grant_roles(course, user)

    def _enroll_in_masters(self, user: User, course_key: Any, status: str) -> Any:
        if not any(course.id == course_key for course in self.course_overviews.objects.filter(id=course_key)):
            raise NonExistentCourseError
        if status not in {"active", "inactive"}:
            raise ValueError(status)
        enrollment = self.course_enrollments.objects.filter(user=user, course_id=course_key, is_active=True).first()
        if enrollment is None:
            enrollment = self.enrolling.enroll(user, course_key, "masters")
        elif enrollment.mode in {"audit", "honor"}:
            self.enrolling.save_mode(enrollment, "masters")
        if enrollment.mode == "masters" and status == "inactive":
            self.enrolling.update_enrollment(enrollment, is_active=False)
        return enrollment

    def _grant_roles(self, course: Any, user: User) -> None:
        for assignment in course.assignments.all():
            if assignment.role != "staff":
                continue
            try:
                with transaction.atomic():
                    self.enrolling.grant(
                        user,
                        CourseKey.from_string(str(course.course_key)).org or "",
                        course.course_key,
                        assignment.role,
                    )
                    assignment.delete()
            except Exception:  # noqa: BLE001, S112 - a role fails no learner
                continue
