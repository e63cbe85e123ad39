"""What linking a learner changed, as undo needs it."""

from typing import Any, NamedTuple

from linking.engine.state import CourseEnrollment, ProgramCourseEnrollment


class SpentRole(NamedTuple):
    """A role assignment that was done with: granted, or found to be held already."""

    course_id: int
    role: str
    assignment_id: int
    granted: bool
    assigned: str


class Change:
    """What a learner's step 3 changed: the rows with what they held before it and hold after it."""

    def __init__(self, former_user_id: int | None, user_id: int | None, courses: list[ProgramCourseEnrollment]) -> None:
        self.user = (former_user_id, user_id)
        self.roles: list[SpentRole] = []
        self._courses = courses
        self._pointed_at = [course.points_at for course in courses]
        self._was: dict[CourseEnrollment, tuple[bool, str] | None] = {}
        self._rows: list[tuple[CourseEnrollment, tuple[bool, str] | None, tuple[bool, str]]] = []
        self._pointers: list[tuple[ProgramCourseEnrollment, CourseEnrollment | None, CourseEnrollment | None]] = []

    def about_to_change(self, row: CourseEnrollment, *, created: bool = False) -> None:
        """Keep what ``row`` holds, unless it is kept already."""
        self._was.setdefault(row, None if created else (row.is_active, row.mode))

    def done(self) -> None:
        """Keep what the rows hold now: a later learner of the slice may change them again."""
        self._rows = [(row, was, (row.is_active, row.mode)) for row, was in self._was.items()]
        self._pointers = [
            (course, was, course.points_at) for course, was in zip(self._courses, self._pointed_at, strict=True)
        ]

    def as_json(self) -> dict[str, Any]:
        """Return the change as plain JSON; new course enrollments must have been inserted.

        ``user``: [former, new] user id. ``course_enrollments``: [id, [is_active, mode] or null where created,
        [is_active, mode]] of each that changed. ``courses``: [program course enrollment id, former, new course
        enrollment id, when the row had been written]. ``roles``: [program course enrollment id, role, assignment id,
        whether it was granted (or held already), when it had been assigned] of each assignment that is done with.
        The ledger adds ``enrollment``, the id of the program enrollment.
        """
        return {
            "user": self.user,
            "course_enrollments": [(row.id, was, now) for row, was, now in self._rows if was != now],
            "courses": [
                (course.id, was and was.id, now and now.id, course.modified and course.modified.isoformat())
                for course, was, now in self._pointers
            ],
            "roles": self.roles,
        }
