"""Random worlds, weighted so that learners meet on the same rows more often than not."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from django.conf import settings
from django.db import connection
from hypothesis import strategies as st

from tests.support.worlds.values import (
    CURRICULA,
    PROGRAMS,
    Account,
    Course,
    CourseRun,
    Enrolled,
    Enrollment,
    Expiry,
    Held,
    World,
)

T = TypeVar("T")

USERNAMES = ("ada", "Ada", "zoë", "ZOË", "bob", "eve")
SPELLINGS = (
    ("s-1", "S-1"),
    ("é1", "É1"),
    ("ana", "Ana", "ANA"),
    ("bÄ", "bä", "BÄ"),
    ("\N{GREEK SMALL LETTER SIGMA}7", "\N{GREEK CAPITAL LETTER SIGMA}7"),
    ("stra\N{LATIN SMALL LETTER SHARP S}e", "STRA\N{LATIN CAPITAL LETTER SHARP S}E"),
    ("\N{FULLWIDTH LATIN SMALL LETTER S}-1", "\N{FULLWIDTH LATIN CAPITAL LETTER S}-1"),
    ("\N{CHEROKEE SMALL LETTER A}-e", "\N{CHEROKEE LETTER A}-E"),
    (
        "\N{ADLAM SMALL LETTER ALIF}\N{ADLAM CAPITAL LETTER DAALI}",
        "\N{ADLAM CAPITAL LETTER ALIF}\N{ADLAM SMALL LETTER DAALI}",
        "\N{ADLAM SMALL LETTER ALIF}\N{ADLAM SMALL LETTER DAALI}",
    ),
    ("\N{GEORGIAN LETTER AN}\N{GEORGIAN MTAVRULI CAPITAL LETTER BAN}", "\N{GEORGIAN LETTER AN}\N{GEORGIAN LETTER BAN}"),
    ("\N{LATIN SMALL LETTER GLOTTAL A}1", "\N{LATIN CAPITAL LETTER GLOTTAL A}1"),
    ("42",),
)
"""Families of keys that differ only in case, ASCII and not."""
STRANGERS = (
    *("nobody", "\N{GREEK SMALL LETTER FINAL SIGMA}7", "a", "ss", "strasse", "e1"),
    "\N{FULLWIDTH DIGIT FOUR}2",
)
"""Keys that resemble one of the above and do not match it: a final sigma, for example, is another letter."""
PADDED_KEY, PADDED_NAME = "s-1 ", "bob "
"""A key and a username that match none; a message does not have them, as the white space around is removed."""

COURSE_KEYS: tuple[str, ...] = (
    "course-v1:Org+Algebra+1",
    "course-v1:Org+algebra+1",
    "Old/Biology/2",
    f"course-v1:{'Long' * 17}+Chemistry+3",
)
"""Two that differ only in case, an old-style key, and one whose org is too long for a role (64 characters)."""
if settings.LINKING_LMS:
    COURSE_KEYS = COURSE_KEYS[1:]  # The LMS's columns of course keys ignore case.

MODES: tuple[tuple[tuple[str, Expiry], ...], ...] = (
    (),
    (("audit", Expiry.NEVER),),
    (("audit", Expiry.FUTURE), ("verified", Expiry.NEVER), ("masters", Expiry.NEVER)),
    (("verified", Expiry.NEVER), ("masters", Expiry.NEVER)),
    (("audit", Expiry.PAST), ("masters", Expiry.NEVER)),
    (("audit", Expiry.PAST), ("verified", Expiry.PAST)),
    (("credit", Expiry.NEVER),),
    (("audit", Expiry.PAST), ("credit", Expiry.FUTURE)),
    (("credit", Expiry.NEVER), ("verified", Expiry.FUTURE)),
)


def _weighted(*choices: tuple[int, T]) -> st.SearchStrategy[T]:
    """Choose a value with the given weights; the first is the simplest, to which Hypothesis shrinks."""
    return st.sampled_from([value for weight, value in choices for _ in range(weight)])


_SIZE = _weighted((1, 1), (1, 2), (1, 3), (2, 4), (3, 5), (3, 6))
_MORE = _weighted((1, 0), (1, 1), (2, 2), (3, 3))
_CURRICULA = _weighted((4, 3), (1, 2), (1, 1))
_KEY_KIND = _weighted((14, "family"), (1, "none"))
_ACCOUNT_KIND = _weighted((5, "waiting"), (5, "linked"))
_PROGRAM = _weighted((6, PROGRAMS[0]), (1, PROGRAMS[1]))
_ENROLLMENT_STATUS = _weighted((5, "enrolled"), (1, "pending"), (1, "canceled"), (1, "ended"))
_RUN_STATUS = _weighted((16, "active"), (6, "inactive"), (1, "bogus"))
_ROLES: st.SearchStrategy[tuple[str, ...]] = _weighted(
    (10, ()), (6, ("staff",)), (2, ("wizard",)), (2, ("staff", "wizard"))
)
_POINTER = _weighted((10, "own"), (3, "waiting"), (2, "any"))
_EXISTS = _weighted((5, True), (1, False))
_IS_ACTIVE = _weighted((3, True), (1, False))
_ENROLLED_ACTIVE = _weighted((3, True), (1, False))
_MODE = _weighted((3, "audit"), (3, "masters"), (2, "honor"), (2, "verified"), (1, "professional"))
_MAPPED_KEY = _weighted((5, "stored"), (1, "left out"))
_EXTRA_KEY = _weighted((5, "spelled"), (1, "stranger"))
_MAPPED_NAME = _weighted((8, "any"), (6, "placed"), (2, "missing"))
_MOTIF = _weighted((3, "none"), (3, "swap"), (1, "chain"), (1, "rechain"))


@dataclass
class _Draft:
    """A world that is not complete yet."""

    padded: bool
    accounts: list[Account]
    courses: list[Course]
    enrollments: list[Enrollment] = field(default_factory=list)
    enrolled: list[Enrolled] = field(default_factory=list)
    course_runs: list[CourseRun] = field(default_factory=list)

    def enrollment_of(self, account: int, course: int) -> int | None:
        """Return the index of the course enrollment of ``account`` in ``course``, if there is one."""
        return next((n for n, row in enumerate(self.enrolled) if (row.account, row.course) == (account, course)), None)


@st.composite
def worlds(draw: st.DrawFn, most_entries: int = 8, *, padded: bool = False) -> World:
    """Draw a world and a mapping of at most ``most_entries`` learners for its first program.

    With ``padded``, keys and usernames of the mapping may end with white space.
    """
    usernames = _distinct(draw(st.permutations(USERNAMES)))[: draw(_SIZE)]
    draft = _Draft(
        padded=padded,
        accounts=[Account(name, draw(_IS_ACTIVE)) for name in usernames],
        courses=[
            Course(key, draw(_EXISTS), draw(st.sampled_from(MODES)))
            for key in draw(st.permutations(COURSE_KEYS))[: draw(_SIZE)]
        ],
    )
    draw(_course_enrollments(draft))
    draw(_program_enrollments(draft))
    draw(_course_runs(draft))
    held = st.builds(Held, _index(draft.accounts), _index(draft.courses), _weighted((5, "staff"), (1, "instructor")))
    return World(
        accounts=tuple(draft.accounts),
        courses=tuple(draft.courses),
        enrollments=tuple(draft.enrollments),
        enrolled=tuple(draft.enrolled),
        course_runs=tuple(draft.course_runs),
        # A role on the course whose org is too long could not be stored.
        held=tuple(
            row for row in draw(st.lists(held, max_size=4, unique=True)) if "Long" not in draft.courses[row.course].key
        ),
        mapping=tuple(draw(_mapping(draft, most_entries)).items()),
    )


def as_unique(text: str) -> str:
    """Return the same for texts that a unique constraint takes for equal: on MySQL, whatever their case and accents."""
    if connection.vendor != "mysql":
        return text
    letters = unicodedata.normalize("NFKD", text.casefold()).rstrip(" ")
    return "".join(letter for letter in letters if not unicodedata.combining(letter)).replace("\u03c2", "\u03c3")


def _distinct(texts: Sequence[str]) -> list[str]:
    return list({as_unique(text): text for text in texts}.values())


def _index(rows: Sequence[object]) -> st.SearchStrategy[int]:
    return st.integers(0, len(rows) - 1)


@st.composite
def _course_enrollments(draw: st.DrawFn, draft: _Draft) -> None:
    """Add course enrollments of the LMS, with or without a program."""
    pairs = st.tuples(_index(draft.accounts), _index(draft.courses))
    draft.enrolled += [
        Enrolled(account, course, draw(_MODE), draw(_ENROLLED_ACTIVE))
        for account, course in draw(st.lists(pairs, max_size=8, unique=True))
    ]


@st.composite
def _program_enrollments(draw: st.DrawFn, draft: _Draft) -> None:
    """Add program enrollments that do not violate the table's unique constraints."""
    curricula = CURRICULA[: draw(_CURRICULA)]
    families = draw(st.permutations((*SPELLINGS, *([(PADDED_KEY,)] if draft.padded else []))))[: draw(_SIZE)]
    taken: set[object] = set()
    for _ in range(draw(_SIZE) + draw(_MORE)):
        program, curriculum = draw(_PROGRAM), draw(st.sampled_from(curricula))
        key = draw(st.sampled_from(draw(st.sampled_from(families)))) if draw(_KEY_KIND) == "family" else None
        linked = key is None or draw(_ACCOUNT_KIND) == "linked"
        account = draw(_index(draft.accounts)) if linked else None
        if (program, curriculum, account) in taken:
            account = None
        stored = key and as_unique(key)
        if (account is None and key is None) or (program, curriculum, stored) in taken:
            continue
        taken |= {(program, curriculum, value) for value in (account, stored) if value is not None}
        draft.enrollments.append(Enrollment(account, key, curriculum, program, draw(_ENROLLMENT_STATUS)))


@st.composite
def _course_runs(draw: st.DrawFn, draft: _Draft) -> None:
    """Add program course enrollments: most as linking leaves them, some with data drift."""
    for n, enrollment in enumerate(draft.enrollments):
        for course in draw(st.permutations(range(len(draft.courses))))[: draw(_MORE)]:
            pointer = draw(_POINTER)
            enrolled = None
            if pointer == "own" and enrollment.account is not None:
                enrolled = draft.enrollment_of(enrollment.account, course)
                if enrolled is None:
                    enrolled = len(draft.enrolled)
                    draft.enrolled.append(Enrolled(enrollment.account, course, draw(_MODE), draw(_ENROLLED_ACTIVE)))
            elif pointer == "any" and draft.enrolled:
                enrolled = draw(_index(draft.enrolled))
            draft.course_runs.append(CourseRun(n, course, enrolled, draw(_RUN_STATUS), draw(_ROLES)))


@st.composite
def _mapping(draw: st.DrawFn, draft: _Draft, most_entries: int) -> dict[str, str]:
    """Draw the mapping: one of the motifs, shuffled among learners of every kind."""
    stored = [
        enrollment.key
        for enrollment in draft.enrollments
        if enrollment.key is not None and enrollment.program == PROGRAMS[0]
    ]
    keys = [key for key in stored if draw(_MAPPED_KEY) == "stored"]
    keys += [draw(_extra_key(draft, stored)) for _ in range(draw(_MORE))]
    entries = [(key, draw(_mapped_name(draft))) for key in draw(st.permutations(keys))]
    motif = draw(_motif(draft))
    if draw(st.booleans()):
        motif = motif[:1] + entries + motif[1:]
    else:
        motif += entries
    mapping: dict[str, str] = {}
    for key, username in motif:
        mapping.setdefault(key, username)
    return dict(list(mapping.items())[:most_entries])


@st.composite
def _extra_key(draw: st.DrawFn, draft: _Draft, stored: list[str]) -> str:
    if stored and draw(_EXTRA_KEY) == "spelled":
        key = draw(st.sampled_from(stored))
        return draw(st.sampled_from(next((family for family in SPELLINGS if key in family), (key,))))
    return draw(st.sampled_from((*STRANGERS, PADDED_KEY) if draft.padded else STRANGERS))


@st.composite
def _mapped_name(draw: st.DrawFn, draft: _Draft) -> str:
    kind = draw(_MAPPED_NAME)
    placed = [enrollment.account for enrollment in draft.enrollments if enrollment.account is not None]
    if kind == "missing":
        names = ("ADA", "nobody", "zoÉ")
        return draw(st.sampled_from((*names, PADDED_NAME) if draft.padded else names))
    if kind == "placed" and placed:
        return draft.accounts[draw(st.sampled_from(placed))].username
    return draw(st.sampled_from(draft.accounts)).username


@st.composite
def _motif(draw: st.DrawFn, draft: _Draft) -> list[tuple[str, str]]:
    """Draw two linked learners that swap their users, or one that takes the user of the other, in any order."""
    linked = [
        (enrollment.key, draft.accounts[enrollment.account].username, enrollment.curriculum)
        for enrollment in draft.enrollments
        if enrollment.key is not None and enrollment.account is not None and enrollment.program == PROGRAMS[0]
    ]
    motif = draw(_MOTIF)
    if motif == "none" or len(linked) < 2:
        return []
    one, *others = draw(st.permutations(linked))
    # From another curriculum where there is one: only there can both sides of a swap succeed.
    other = next((enrollment for enrollment in others if enrollment[2] != one[2]), others[0])
    chain = [(one[0], draw(st.sampled_from(draft.accounts)).username), (other[0], one[1])]
    return {"swap": [(one[0], other[1]), (other[0], one[1])], "chain": chain, "rechain": chain[::-1]}[motif]
