"""Transitions: the changes of course enrollments and course roles, in the order in which they happen to learners.

The rows of a slice are written as they end. Receivers of events need each step: a former user leaves before
the new one joins, and an inactive program course enrollment is enrolled in before it is deactivated, as in Open edX.
"""

import enum
from dataclasses import dataclass

from linking.engine.state import CourseEnrollment

State = tuple[bool, str]
"""``is_active`` and ``mode`` of a course enrollment."""


class Kind(enum.StrEnum):
    """What happened to a course enrollment or a course role."""

    CREATED = "created"
    REACTIVATED = "reactivated"
    MODE_CHANGED = "mode_changed"
    DEACTIVATED = "deactivated"
    DELETED = "deleted"  # By undo, not beside an LMS: the enrollment had been created by the job.
    ROLE_GRANTED = "role_granted"
    ROLE_REVOKED = "role_revoked"  # By undo.


class Path(enum.StrEnum):
    """The way in which Open edX makes the same change; it decides what happens inside the LMS besides."""

    ENROLL = "enroll"  # ``CourseEnrollment.enroll()``.
    UPDATE = "update"  # ``CourseEnrollment.update_enrollment()``.
    SAVE = "save"  # A bare ``save()``: only what every save of the row does.
    ROLE = "role"  # Not an enrollment.


@dataclass(slots=True, kw_only=True, eq=False)
class Transition:
    """One step of a learner.

    ``row`` is the course enrollment, whose id may be unknown until it is inserted; None for a role. ``before`` is None
    where it was created, ``after`` where it was deleted.
    """

    kind: Kind
    path: Path
    user_id: int
    course_key: str
    row: CourseEnrollment | None = None
    before: State | None = None
    after: State | None = None
    skip_refund: bool = False
    role: str = ""


def enrollment_transition(
    row: CourseEnrollment, before: State | None, path: Path, *, skip_refund: bool = False, deleted: bool = False
) -> Transition | None:
    """Return the transition of ``row`` from ``before`` to its present state, None where that is the same."""
    after = None if deleted else (row.is_active, row.mode)
    if before == after:
        return None
    return Transition(
        kind=_kind(before, after),
        path=path,
        user_id=row.user_id,
        course_key=row.course_key,
        row=row,
        before=before,
        after=after,
        skip_refund=skip_refund,
    )


def _kind(before: State | None, after: State | None) -> Kind:
    if before is None:
        return Kind.CREATED
    if after is None:
        return Kind.DELETED
    if before[0] == after[0]:
        return Kind.MODE_CHANGED
    return Kind.REACTIVATED if after[0] else Kind.DEACTIVATED
