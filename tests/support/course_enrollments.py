"""Course enrollments and roles as Open edX changes them, one by one, with what it announces of each change.

Written from the facts about the LMS, call by call: ``enroll``, ``update_enrollment``, ``save``, ``deactivate``.
"""

from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import User
from opaque_keys.edx.keys import CourseKey

from linking.models import CourseAccessRole, CourseEnrollment

State = tuple[bool, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What is announced of one change."""

    user: int
    course: str
    kind: str
    path: str
    before: State | None = None
    after: State | None = None
    skip_refund: bool = False
    role: str = ""


@dataclass(slots=True)
class Steps:
    """Changes rows and collects the steps."""

    taken: list[Step] = field(default_factory=list)

    def enroll(self, user: User, course_key: CourseKey, mode: str) -> CourseEnrollment:
        """``CourseEnrollment.enroll()``: get or create the inactive row, then activate it."""
        row = CourseEnrollment.objects.filter(user=user, course_id=course_key).first()
        before = (row.is_active, row.mode) if row else None
        row = row or CourseEnrollment(user=user, course_id=course_key)
        row.is_active, row.mode = True, mode
        row.save()
        self._add(row, "created" if before is None else "reactivated", "enroll", before, skip_refund=False)
        return row

    def update_enrollment(
        self, row: CourseEnrollment, *, mode: str | None = None, is_active: bool | None = None, skip_refund: bool
    ) -> None:
        """``CourseEnrollment.update_enrollment()``: it announces what differs, and nothing where nothing does."""
        before = (row.is_active, row.mode)
        activation_changed = is_active is not None and is_active != row.is_active
        mode_changed = mode is not None and mode != row.mode
        row.is_active = row.is_active if is_active is None else is_active
        row.mode = row.mode if mode is None else mode
        row.save()
        if activation_changed:
            kind = "reactivated" if row.is_active else "deactivated"
            self._add(row, kind, "update", before, skip_refund=skip_refund)
        elif mode_changed:
            self._add(row, "mode_changed", "update", before, skip_refund=skip_refund)

    def change_mode(self, row: CourseEnrollment, mode: str) -> None:
        """A bare ``save()`` of another mode."""
        before = (row.is_active, row.mode)
        row.mode = mode
        row.save()
        self._add(row, "mode_changed", "save", before, skip_refund=False)

    def deactivate(self, row: CourseEnrollment) -> None:
        """``CourseEnrollment.deactivate()``, which does nothing to an inactive row."""
        if row.is_active:
            self.update_enrollment(row, is_active=False, skip_refund=False)

    def add_role(self, user: User, course_key: CourseKey, role: str) -> None:
        """``role.add_users()``: one that the user holds is not announced."""
        names: dict[str, Any] = {"user": user, "org": course_key.org, "course_id": course_key, "role": role}
        _, created = CourseAccessRole.objects.get_or_create(**names)
        if created:
            self.taken.append(Step(user=user.pk, course=str(course_key), kind="role_granted", path="role", role=role))

    def _add(self, row: CourseEnrollment, kind: str, path: str, before: State | None, *, skip_refund: bool) -> None:
        self.taken.append(
            Step(
                user=row.user_id,
                course=str(row.course_id),
                kind=kind,
                path=path,
                before=before,
                after=(row.is_active, row.mode),
                skip_refund=skip_refund,
            )
        )
