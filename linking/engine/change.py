"""The change that linking made to a learner's rows: collected, written to the ledger as JSON, read back for undo.

No other module knows the format. Version 2::

    {
        "version": 2,
        "enrollment": id of the program enrollment,
        "user": [former, new user id],
        "course_enrollments": [[id, [is_active, mode] before, null where created, [is_active, mode] after], …],
        "courses": [[program course enrollment id, former, new course enrollment id, modified before], …],
        "roles": [[program course enrollment id, role, assignment id, new, time of assignment], …],
    }

Version 1, which rows of earlier releases have, is the same without ``version``. Rows are positional because names would
make the JSON of a slice twice as long.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Self

from linking.engine.state import CourseEnrollment, ProgramCourseEnrollment, ProgramEnrollment
from linking.engine.transition import Kind, Path, State, Transition, enrollment_transition

VERSION = 2

Pointer = tuple[int, int]
"""Ids of a program course enrollment and of the course enrollment that it points at."""


class Grant(NamedTuple):
    """A role assignment that is used and deleted; ``new`` is false where the user holds the role already."""

    course_id: int
    role: str
    assignment_id: int
    new: bool
    assigned: datetime
    course_key: str = ""  # Not recorded.


class Change:
    """The changes that linking makes to a learner's rows, collected while a plan is applied."""

    def __init__(self) -> None:
        self.grants: list[Grant] = []
        self.transitions: list[Transition] = []  # In the order in which they happened.
        self._enrollment: ProgramEnrollment | None = None
        self._user: tuple[int | None, int | None] = (None, None)
        self._pointers: list[tuple[ProgramCourseEnrollment, CourseEnrollment | None, CourseEnrollment | None]] = []
        self._states: dict[CourseEnrollment, tuple[State | None, State]] = {}

    def begin(self, enrollment: ProgramEnrollment, former_user_id: int | None, user_id: int) -> None:
        """Keep where the course runs point before the first change."""
        self._enrollment, self._user = enrollment, (former_user_id, user_id)
        self._pointers = [(course, course.points_at, None) for course in enrollment.courses]

    def add(self, row: CourseEnrollment, *, created: bool = False) -> None:
        """Keep the state of ``row`` before its first change."""
        state = (row.is_active, row.mode)
        self._states.setdefault(row, (None if created else state, state))

    def note(self, row: CourseEnrollment, before: State | None, path: Path, *, skip_refund: bool = False) -> None:
        """Add the transition of ``row`` from ``before``, unless the row has not changed."""
        transition = enrollment_transition(row, before, path, skip_refund=skip_refund)
        if transition is not None:
            self.transitions.append(transition)

    def grant(self, grant: Grant, user_id: int) -> None:
        """Add a role to grant, and its transition unless the user holds the role already."""
        self.grants.append(grant)
        if grant.new:
            granted = Transition(
                kind=Kind.ROLE_GRANTED,
                path=Path.ROLE,
                user_id=user_id,
                course_key=grant.course_key,
                role=grant.role,
            )
            self.transitions.append(granted)

    def refuse(self, grant: Grant) -> None:
        """Remove a role that the database refused to grant."""
        self.grants.remove(grant)
        refused = (Kind.ROLE_GRANTED, grant.course_key, grant.role)
        self.transitions = [one for one in self.transitions if (one.kind, one.course_key, one.role) != refused]

    def end(self) -> None:
        """Keep the state after the last change: a later learner of the slice may change the rows again."""
        self._states = {row: (before, (row.is_active, row.mode)) for row, (before, _) in self._states.items()}
        self._pointers = [(course, before, course.points_at) for course, before, _ in self._pointers]

    def as_json(self) -> dict[str, Any] | None:
        """Return the change as JSON, None where nothing was begun; new course enrollments must have been inserted."""
        if self._enrollment is None:
            return None
        return {
            "version": VERSION,
            "enrollment": self._enrollment.id,
            "user": self._user,
            "course_enrollments": [
                (row.id, before, after) for row, (before, after) in self._states.items() if before != after
            ],
            "courses": [
                (course.id, before and before.id, after and after.id, course.modified.isoformat())
                for course, before, after in self._pointers
            ],
            "roles": [(*grant[:4], grant.assigned.isoformat()) for grant in self.grants],
        }


class CourseChange(NamedTuple):
    """A program course enrollment: the course enrollment that it pointed at, and points at since."""

    id: int
    before: int | None
    after: int | None
    modified: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedChange:
    """A change as read from the ledger.

    ``course_enrollments`` has (id, state before, None where created, state after) of each that changed.
    """

    enrollment_id: int
    former_user_id: int | None
    user_id: int
    course_enrollments: list[tuple[int, State | None, State]]
    courses: list[CourseChange]
    grants: list[Grant]

    @classmethod
    def from_json(cls, before: dict[str, Any]) -> Self:
        """Return the change that :meth:`Change.as_json` wrote, in this release or an earlier one."""
        if (version := before.get("version", 1)) not in {1, VERSION}:
            msg = f"the ledger has a change of version {version}: a newer release must undo it"
            raise ValueError(msg)
        former, user = before["user"]
        return cls(
            enrollment_id=before["enrollment"],
            former_user_id=former,
            user_id=user,
            course_enrollments=[
                (row_id, was and tuple(was), tuple(now)) for row_id, was, now in before["course_enrollments"]
            ],
            courses=[
                CourseChange(row_id, was, now, datetime.fromisoformat(modified))
                for row_id, was, now, modified in before["courses"]
            ],
            grants=[
                Grant(course_id, role, assignment_id, new, datetime.fromisoformat(assigned))
                for course_id, role, assignment_id, new, assigned in before["roles"]
            ],
        )

    @property
    def pointers(self) -> set[Pointer]:
        """The pointers of the learner's course runs, before and after the change."""
        return {
            (course.id, row_id)
            for course in self.courses
            for row_id in (course.before, course.after)
            if row_id is not None
        }


def pointers_of(before: dict[str, Any] | None) -> set[Pointer]:
    """Return the pointers in a change as the ledger has it, none where it has none."""
    return RecordedChange.from_json(before).pointers if before else set()
