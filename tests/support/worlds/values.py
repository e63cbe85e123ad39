"""A world as plain values.

Rows refer to each other by their index in the world's tuples: every build of a world writes the same rows.
"""

import enum
from dataclasses import dataclass
from uuid import UUID

PROGRAMS = (UUID(int=0xA1), UUID(int=0xA2))
"""The programs; the mapping is for the first."""
CURRICULA = (UUID(int=0xC1), UUID(int=0xC2), UUID(int=0xC3))


class Expiry(enum.Enum):
    """When a course mode expires, seen from the test."""

    NEVER = "never"
    PAST = "past"
    FUTURE = "future"


@dataclass(frozen=True, slots=True)
class Account:
    """An LMS user."""

    username: str
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class Course:
    """A course run, its modes as (slug, expiry); one that does not exist has no course overview."""

    key: str
    exists: bool = True
    modes: tuple[tuple[str, Expiry], ...] = ()


@dataclass(frozen=True, slots=True)
class Enrollment:
    """A program enrollment; ``account`` is an index into :attr:`World.accounts`, None while it waits."""

    account: int | None
    key: str | None
    curriculum: UUID
    program: UUID = PROGRAMS[0]
    status: str = "enrolled"


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A course enrollment: the LMS's own."""

    account: int
    course: int
    mode: str = "masters"
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class CourseRun:
    """A program course enrollment; ``enrolled`` is an index into :attr:`World.enrolled`, None while it waits."""

    enrollment: int
    course: int
    enrolled: int | None = None
    status: str = "active"
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """A course role that a user holds already."""

    account: int
    course: int
    role: str = "staff"


@dataclass(frozen=True, slots=True)
class World:
    """Every row that a run may meet, and the mapping of the run in mapping order."""

    accounts: tuple[Account, ...]
    courses: tuple[Course, ...] = ()
    enrollments: tuple[Enrollment, ...] = ()
    enrolled: tuple[Enrolled, ...] = ()
    course_runs: tuple[CourseRun, ...] = ()
    held: tuple[Held, ...] = ()
    mapping: tuple[tuple[str, str], ...] = ()

    @property
    def program_uuid(self) -> UUID:
        """The program that the mapping is for."""
        return PROGRAMS[0]
