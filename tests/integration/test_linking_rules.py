"""Rules of steps 1 and 2: the user and the program enrollment that are found, and the messages of refusals."""

from uuid import UUID

import pytest
from django.contrib.auth.models import User

from linking.models import ProgramEnrollment
from tests.support.ids import OTHER_PROGRAM, PROGRAM
from tests.support.rows import add_course_run, enroll, make_course
from tests.support.runs import Link
from tests.support.stored import enrolled, user_of

pytestmark = pytest.mark.usefixtures("ada")


def test_an_empty_mapping_has_no_errors(link: Link) -> None:
    assert link({}) == {}


def test_a_user_is_found_by_the_exact_username_only(link: Link) -> None:
    enrollment = enroll("s-1")

    assert link({"s-1": "Ada"}) == {"s-1": "No user found with username Ada"}
    assert user_of(enrollment) is None


@pytest.mark.parametrize("program", [PROGRAM, PROGRAM.hex.upper()])
def test_a_program_enrollment_of_another_program_is_not_found(link: Link, program: UUID | str) -> None:
    enroll("s-1", program_uuid=OTHER_PROGRAM)

    assert link({"s-1": "ada"}, program) == {
        "s-1": f"No program enrollment found for program uuid={PROGRAM} and external student key=s-1"
    }


def test_a_missing_user_is_reported_before_a_missing_enrollment(link: Link) -> None:
    assert link({"s-1": "nobody"}) == {"s-1": "No user found with username nobody"}


@pytest.mark.parametrize(
    ("stored", "given"),
    [
        ("s-1", "S-1"),
        ("É1", "é1"),
        ("ä", "Ä"),
        ("\N{CYRILLIC SMALL LETTER ZHE}", "\N{CYRILLIC CAPITAL LETTER ZHE}"),
        *(
            (key, key)
            for key in (
                "\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}1",
                "\N{LATIN CAPITAL LETTER SHARP S}1",
                "\N{KELVIN SIGN}1",
                "\N{GREEK CAPITAL LETTER ALPHA}\N{GREEK CAPITAL LETTER SIGMA}",
                "\N{DESERET CAPITAL LETTER LONG I}",
                "e\N{COMBINING ACUTE ACCENT}1",
                " s-1 ",
                "",
                "%_\\",
                "a\"b,{c}'d",
                "x" * 255,
            )
        ),
    ],
)
def test_a_key_is_found_in_any_case_and_whatever_its_letters(link: Link, stored: str, given: str) -> None:
    enrollment = enroll(stored)

    assert link({given: "ada"}) == {}
    assert user_of(enrollment) == "ada"


def test_keys_that_differ_in_more_than_case_are_not_the_same(link: Link) -> None:
    enroll("é1")
    enroll("s-1")

    assert link({"e1": "ada", "s-1 ": "ada", "s_1": "ada"}).keys() == {"e1", "s-1 ", "s_1"}


@pytest.mark.parametrize("unstorable", ["s\x00", "s\ud800", "x" * 1000])
def test_a_key_or_username_that_the_database_cannot_hold_is_simply_not_found(link: Link, unstorable: str) -> None:
    enrollment, other = enroll("s-1"), enroll("s-2")

    errors = link({unstorable: "ada", "s-1": unstorable, "s-2": "ada"})

    assert errors == {
        unstorable: f"No program enrollment found for program uuid={PROGRAM} and external student key={unstorable}",
        "s-1": f"No user found with username {unstorable}",
    }
    assert (user_of(enrollment), user_of(other)) == (None, "ada")


@pytest.mark.parametrize(
    ("stored", "key", "found"),
    [(("s-1", "S-1"), "s-1", 0), (("s-1", "s-1", "S-1"), "s-1", 1), (("Ana", "aNA"), "ANA", 1)],
    ids=["an exact key", "the newest of several exact keys", "the newest of keys that differ in case"],
)
def test_one_of_several_keys_wins(link: Link, stored: tuple[str, ...], key: str, found: int) -> None:
    enrollments = [enroll(one, curriculum_uuid=UUID(int=n)) for n, one in enumerate(stored)]

    assert link({key: "ada"}) == {}
    assert [user_of(enrollment) for enrollment in enrollments] == [
        "ada" if n == found else None for n in range(len(stored))
    ]


@pytest.mark.parametrize("status", ProgramEnrollment.Status.values)
def test_the_status_of_a_program_enrollment_does_not_matter(link: Link, status: str) -> None:
    enrollment = enroll("s-1", status=status)

    assert link({"s-1": "ada"}) == {}
    assert user_of(enrollment) == "ada"


def test_a_linked_enrollment_is_not_linked_again(link: Link, ada: User) -> None:
    add_course_run(enroll("S-1", ada), make_course())

    assert link({"s-1": "ada"}) == {
        "s-1": "Program enrollment with external_student_key=S-1 is already linked to target account username=ada"
    }
    assert enrolled(ada) == {}


def test_the_error_dictionary_is_in_mapping_order(link: Link) -> None:
    keys = [f"s-{n}" for n in (5, 3, 9, 1)]
    assert list(link({key: ("ada" if key == "s-9" else "nobody") for key in keys})) == keys
