"""The sample program: 2,000 learners with known outcomes.

Random with a fixed seed: the same everywhere. ``python -m samples.program`` writes ``samples/mapping.csv``.
"""

import csv
import io
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

PROGRAM_UUID = UUID("5c8d9a52-1f0e-4c63-9a67-2b6f0d4e7a11")
PROGRAM_NAME = "Northfield Data Science MSc"
CURRICULUM_UUIDS = (UUID("b1a7e2d0-6f3c-4f0b-8d0e-91c2f5a40a01"), UUID("b1a7e2d0-6f3c-4f0b-8d0e-91c2f5a40a02"))
MAPPING_FILE = Path(__file__).with_name("mapping.csv")
SEED = 2026

FIRST_NAMES = (
    "ada",
    "bela",
    "chen",
    "dina",
    "emil",
    "fatou",
    "goran",
    "hana",
    "ivo",
    "jun",
    "kofi",
    "lena",
    "mai",
    "noor",
)
LAST_NAMES = (
    "abebe",
    "brown",
    "castro",
    "diaz",
    "endo",
    "fischer",
    "garcia",
    "haddad",
    "ito",
    "jansen",
    "kaur",
    "lopez",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A course run and its course modes."""

    key: str
    modes: tuple[str, ...]


AUDITED = tuple(
    Course(key=f"course-v1:NorthfieldX+{name}+2026", modes=("audit", "masters", "verified"))
    for name in ("ALG1", "BIO2", "CHEM1", "DATA3", "ECON2", "HIST1", "LOGIC2", "STAT1")
)
UNAUDITED = tuple(
    Course(key=f"course-v1:NorthfieldX+{name}+2026", modes=("masters",)) for name in ("THESIS1", "LAB2", "SEMINAR3")
)
COURSES = AUDITED + UNAUDITED
MISSING_COURSE = Course(key="course-v1:NorthfieldX+GHOST1+2026", modes=())
"""A course run that program enrollments refer to and that does not exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """An LMS user."""

    username: str
    is_active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrollment:
    """A program enrollment with its two course runs.

    Attributes:
        holder: username of the linked user, who is enrolled in each course run in the mode ``masters``.
        status: status of the program course enrollments.
        assigned: whether a role assignment (staff) waits in each course run.
    """

    key: str
    curriculum: UUID
    courses: tuple[Course, ...]
    holder: str | None = None
    status: str = "active"
    assigned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CourseSeat:
    """A course enrollment outside the program that a user has before linking."""

    username: str
    course: Course
    mode: str
    is_active: bool


@dataclass(slots=True)
class SampleProgram:
    """The rows before linking, the mapping, and the expected outcomes."""

    users: list[User] = field(default_factory=list)
    enrollments: list[Enrollment] = field(default_factory=list)
    seats: list[CourseSeat] = field(default_factory=list)
    mapping: dict[str, str] = field(default_factory=dict)
    expected: Counter[str] = field(default_factory=Counter)
    """Number of learners by outcome."""


class _Maker:
    """Creates learners of each kind; learners that interfere form a group and keep their order."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._number = 0
        self._groups: list[list[tuple[str, str, str]]] = []
        self.sample = SampleProgram()

    def user(self, *, is_active: bool = True, exists: bool = True) -> str:
        self._number += 1
        username = f"{self._random.choice(FIRST_NAMES)}.{self._random.choice(LAST_NAMES)}{self._number:04}"
        if exists:
            self.sample.users.append(User(username=username, is_active=is_active))
        return username

    def key(self, letters: str = "nfx") -> str:
        self._number += 1
        return f"{letters}-{self._random.randrange(10_000):04}-{self._number:05}"

    def enrollment(
        self,
        *,
        holder: str | None = None,
        letters: str = "nfx",
        among: Sequence[Course] = COURSES,
        curriculum: UUID | None = None,
        status: str = "active",
        assigned: bool = False,
    ) -> Enrollment:
        enrollment = Enrollment(
            key=self.key(letters),
            curriculum=curriculum or self._random.choice(CURRICULUM_UUIDS),
            courses=tuple(self._random.sample(among, 2)),
            holder=holder,
            status=status,
            assigned=assigned,
        )
        self.sample.enrollments.append(enrollment)
        return enrollment

    def seat(self, username: str, enrollment: Enrollment, mode: str, *, is_active: bool = True) -> None:
        self.sample.seats.append(
            CourseSeat(username=username, course=enrollment.courses[0], mode=mode, is_active=is_active)
        )

    def learners(self, *group: tuple[str, str, str]) -> None:
        """Add a group of learners to the mapping: key, username and expected outcome of each."""
        self._groups.append(list(group))

    def finish(self) -> SampleProgram:
        self._random.shuffle(self._groups)
        for group in self._groups:
            for key, username, outcome in group:
                self.sample.mapping[key] = username
                self.sample.expected[outcome] += 1
        return self.sample


def sample_program(seed: int = SEED, *, times: int = 1) -> SampleProgram:
    """Return the sample program, ``times`` as large; the same seed gives the same program."""
    make = _Maker(seed)
    for _ in range(times):
        _make_waiting(make)
        _make_linked(make)
        _make_interfering(make)
        _make_faulty(make)
        for _ in range(20):
            make.enrollment()  # Not in the mapping: they keep waiting.
    return make.finish()


def _make_waiting(make: _Maker) -> None:
    """Add waiting learners who are linked, with different users, course enrollments, keys and roles."""
    for _ in range(1_395):
        make.learners((make.enrollment().key, make.user(), "linked"))
    for mode, is_active, number in (
        ("audit", True, 80),
        ("honor", True, 40),
        ("audit", False, 30),
        ("verified", True, 20),
    ):
        for _ in range(number):
            enrollment, username = make.enrollment(), make.user()
            make.seat(username, enrollment, mode, is_active=is_active)
            make.learners((enrollment.key, username, "linked"))
    for letters, number in (("nfx", 70), ("élève", 10)):
        for _ in range(number):
            make.learners((make.enrollment(letters=letters).key.upper(), make.user(), "linked"))
    for _ in range(40):
        make.learners((make.enrollment(status="inactive").key, make.user(), "linked"))
    for _ in range(60):
        make.learners((make.enrollment(assigned=True).key, make.user(), "linked"))
    for _ in range(5):  # Linked with a warning: the role is not granted to an inactive user.
        make.learners((make.enrollment(assigned=True).key, make.user(is_active=False), "linked"))


def _make_linked(make: _Maker) -> None:
    """Add learners whose program enrollment is linked already: to the same user, or to another user."""
    for _ in range(100):
        username = make.user()
        make.learners((make.enrollment(holder=username).key, username, "already_linked"))
    for among, number in ((AUDITED, 40), (UNAUDITED, 20)):
        for _ in range(number):
            make.learners((make.enrollment(holder=make.user(), among=among).key, make.user(), "relinked"))


def _make_interfering(make: _Maker) -> None:
    """Add learners whose outcome depends on their order: they need the same user in the same curriculum."""
    for _ in range(5):  # A swap: each user is still linked to the other enrollment, so both conflict.
        one, other = make.user(), make.user()
        first = make.enrollment(holder=one, curriculum=CURRICULUM_UUIDS[0])
        second = make.enrollment(holder=other, curriculum=CURRICULUM_UUIDS[0])
        make.learners((first.key, other, "conflict"), (second.key, one, "conflict"))
    for _ in range(5):  # A chain: relinking the first frees the user of the second.
        one, other = make.user(), make.user()
        first = make.enrollment(holder=one, curriculum=CURRICULUM_UUIDS[1])
        second = make.enrollment(holder=other, curriculum=CURRICULUM_UUIDS[1])
        make.learners((first.key, make.user(), "relinked"), (second.key, one, "relinked"))
    for _ in range(5):  # One user for two keys: the first is linked.
        username = make.user()
        first, second = (make.enrollment(curriculum=CURRICULUM_UUIDS[0]) for _ in range(2))
        make.learners((first.key, username, "linked"), (second.key, username, "conflict"))


def _make_faulty(make: _Maker) -> None:
    """Add learners whose user, program enrollment or course run is missing."""
    for _ in range(30):
        make.learners((make.enrollment().key, make.user(exists=False), "no_user"))
    for _ in range(20):
        make.learners((make.key(), make.user(), "no_enrollment"))
    for _ in range(10):
        enrollment = make.enrollment(among=(MISSING_COURSE, COURSES[0]))
        make.learners((enrollment.key, make.user(), "course_error"))


def mapping_csv(sample: SampleProgram) -> str:
    """Return the mapping as the text of a CSV file."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("external_user_key", "lms_username"))
    writer.writerows(sample.mapping.items())
    return text.getvalue()


if __name__ == "__main__":
    MAPPING_FILE.write_text(mapping_csv(sample_program()), encoding="utf-8", newline="\n")
