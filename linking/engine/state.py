"""The rows that a slice reads and writes, as plain values."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from linking.keys import fold_key


@dataclass(slots=True, kw_only=True)
class User:
    """An LMS user."""

    id: int
    username: str
    is_active: bool


@dataclass(slots=True, kw_only=True, eq=False)
class CourseEnrollment:
    """A user in a course run; ``id`` is None until the row is inserted.

    ``stored`` has (is_active, mode) as in the database, None for a row that is not inserted yet. ``enrolled`` says
    whether linking created or reactivated it.
    """

    id: int | None
    user_id: int
    course_key: str
    is_active: bool
    mode: str
    stored: tuple[bool, str] | None
    created: datetime | None = None
    enrolled: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class ProgramCourseEnrollment:
    """A course run inside a program enrollment.

    ``course_enrollment_id`` is the reference as in the database, ``points_at`` the course enrollment to refer to, and
    ``modified`` the time of the last write. ``assignments`` has (id, role, time of assignment) of each role assignment.
    """

    id: int
    course_key: str
    status: str
    course_enrollment_id: int | None
    modified: datetime
    points_at: CourseEnrollment | None = None
    assignments: list[tuple[int, str, datetime]] = field(default_factory=list)


@dataclass(slots=True, kw_only=True, eq=False)
class ProgramEnrollment:
    """A learner's place in a program; ``stored_user_id`` is the user in the database, ``user_id`` the one to write.

    ``is_written`` says whether the transaction has written the row.
    """

    id: int
    external_user_key: str | None
    curriculum_uuid: object
    user_id: int | None
    stored_user_id: int | None
    is_written: bool = False
    courses: list[ProgramCourseEnrollment] = field(default_factory=list)


class SliceState:
    """All rows that the decisions about a slice depend on."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}  # By username.
        self.usernames: dict[int, str] = {}  # By user id.
        self.enrollments: dict[str, list[ProgramEnrollment]] = defaultdict(list)  # By folded key.
        # Id of the program enrollment that a user holds in the program, by (user id, curriculum).
        self.holders: dict[tuple[int, object], int] = {}
        self.course_enrollments: dict[tuple[int, str], CourseEnrollment] = {}  # By (user id, course key).
        self.courses: set[str] = set()  # Keys of the course runs that exist.
        self.modes: dict[str, set[str]] = {}  # Unexpired modes of each course run with any mode row, by course key.
        # Ids of the course roles that a user holds, by (user id, course key) and then by (org, role).
        self.roles: dict[tuple[int, str], dict[tuple[str, str], int | None]] = defaultdict(dict)

    def find_enrollment(self, external_user_key: str) -> ProgramEnrollment | None:
        """Return the program enrollment that a key means: the one with exactly this key, else the newest match."""
        matches = self.enrollments.get(fold_key(external_user_key), ())
        return max(matches, key=lambda match: (match.external_user_key == external_user_key, match.id), default=None)
