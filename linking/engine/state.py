"""The part of the database that a slice touches, as plain values: read once, decided upon, written once."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(slots=True, kw_only=True)
class User:
    """An LMS user."""

    id: int
    username: str
    is_active: bool


@dataclass(slots=True, kw_only=True, eq=False)
class CourseEnrollment:
    """A user in a course run; ``id`` is None until the row is inserted.

    ``stored`` is what the row holds in the database (is_active, mode), None for a row that is not there yet.
    """

    id: int | None
    user_id: int
    course_key: str
    is_active: bool
    mode: str
    stored: tuple[bool, str] | None
    created: datetime | None = None
    skip_refund: bool = False

    @property
    def changed(self) -> bool:
        """Whether the row must be written."""
        return self.stored != (self.is_active, self.mode)


@dataclass(slots=True, kw_only=True, eq=False)
class ProgramCourseEnrollment:
    """A course run inside a program enrollment.

    ``course_enrollment_id`` is what the row holds, ``points_at`` the course enrollment it shall point at, ``modified``
    when it was last written. ``assignments`` are the course roles assigned in advance, as (id, role, when it was
    assigned).
    """

    id: int
    course_key: str
    status: str
    course_enrollment_id: int | None
    modified: datetime | None = None
    points_at: CourseEnrollment | None = None
    assignments: list[tuple[int, str, datetime]] = field(default_factory=list)


@dataclass(slots=True, kw_only=True, eq=False)
class ProgramEnrollment:
    """A learner's place in a program; ``stored_user_id`` is what the row holds, ``user_id`` what it shall hold."""

    id: int
    external_user_key: str | None
    curriculum_uuid: object
    user_id: int | None
    stored_user_id: int | None
    courses: list[ProgramCourseEnrollment] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class World:
    """Everything that a slice reads.

    ``users`` is by username, ``enrollments`` by folded key. ``holders`` tells which program enrollment a user holds in
    a curriculum of the program. ``modes`` has the unexpired modes of each course run that has any mode row at all.
    ``roles`` has (org, role) by (user id, course key).
    """

    users: dict[str, User] = field(default_factory=dict)
    usernames: dict[int, str] = field(default_factory=dict)
    enrollments: dict[str, list[ProgramEnrollment]] = field(default_factory=lambda: defaultdict(list))
    holders: dict[tuple[int, object], int] = field(default_factory=dict)
    course_enrollments: dict[tuple[int, str], CourseEnrollment] = field(default_factory=dict)
    courses: set[str] = field(default_factory=set)
    modes: dict[str, set[str]] = field(default_factory=dict)
    roles: dict[tuple[int, str], set[tuple[str, str]]] = field(default_factory=lambda: defaultdict(set))
