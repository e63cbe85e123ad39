"""Requests to link and to undo: a bad one is refused with the fault, its position, and what is expected."""

import re
from typing import Any
from uuid import UUID

import pytest

from worker.jobs.request import parse_link_request, parse_undo_request
from worker.relink_limit import allowed_relinks

PROGRAM = "11111111-1111-4111-8111-111111111111"
SECRET_KEY, SECRET_NAME = "key-nobody-may-see", "name-nobody-may-see"
MAPPING = {SECRET_KEY: SECRET_NAME}
BOTH = (PROGRAM, MAPPING)
NO_JOB_ID = "is not a UUID: expected the id of a job, which is the task id of its caller."


def refusal(*args: Any, **kwargs: Any) -> str:
    """Return the text with which the arguments are refused, which never names a learner."""
    with pytest.raises(ValueError, match=r".") as refused:
        parse_link_request(args, kwargs)
    text = str(refused.value)
    assert "nobody-may-see" not in text
    return text


TWO = {"s-1": "ada", "s-2": "bob"}


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((PROGRAM, TWO), {}),
        ((PROGRAM,), {"external_keys_to_usernames": TWO}),
        ((), {"program_uuid": UUID(PROGRAM), "external_keys_to_usernames": TWO}),
    ],
)
def test_the_two_arguments_come_by_place_or_by_name(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    request = parse_link_request(args, kwargs)

    assert request.program_uuid == UUID(PROGRAM)
    learners = [(one.position, one.external_user_key, one.lms_username) for one in request.learners]
    assert learners == [(0, "s-1", "ada"), (1, "s-2", "bob")]
    assert request.options == {"dry_run": False, "max_relinks": None, "learners_per_subtask": None}
    assert request.idempotency_key is None


KNOWN = "program_uuid, external_keys_to_usernames, idempotency_key, dry_run, max_relinks, learners_per_subtask"
NEEDED = "both program_uuid and external_keys_to_usernames are needed."
EXPECTED_UUID = "is not a UUID: expected 32 hexadecimal digits, with or without hyphens."
EXPECTED_MAPPING = "expected a mapping of external user key to LMS username."


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        (BOTH, {"max_relink": 5, "priority": 1}, f"unknown argument 'max_relink', 'priority': known are {KNOWN}."),
        ((*BOTH, 1), {}, "3 positional arguments given, at most 2 taken: program_uuid, external_keys_to_usernames."),
        (
            BOTH,
            {"program_uuid": PROGRAM, "external_keys_to_usernames": MAPPING},
            "external_keys_to_usernames, program_uuid given twice, by place and by name: give each once.",
        ),
        ((), {}, f"program_uuid and external_keys_to_usernames not given: {NEEDED}"),
        ((PROGRAM,), {}, f"external_keys_to_usernames not given: {NEEDED}"),
        ((PROGRAM,), MAPPING, f"external_keys_to_usernames not given: {NEEDED}"),
        *(
            ((program, MAPPING), {}, f"program_uuid={program!r} {EXPECTED_UUID}")
            for program in ("", "nonsense", "g1111111-1111-4111-8111-111111111111", PROGRAM + "1")
        ),
        *(
            ((program, MAPPING), {}, f"program_uuid is {kind}: expected a UUID or its string.")
            for program, kind in (
                *((None, "None"), (5, "of type int")),
                *((MAPPING, "of type dict"), ([SECRET_KEY], "of type list")),
            )
        ),
        *(
            ((PROGRAM, mapping), {}, f"external_keys_to_usernames is a {kind}: {EXPECTED_MAPPING}")
            for mapping, kind in (
                *((None, "NoneType"), (7, "int")),
                *(([[SECRET_KEY, SECRET_NAME]], "list"), (f"{SECRET_KEY}:{SECRET_NAME}", "str")),
            )
        ),
        *(
            (
                (PROGRAM, {"s-1": "ada", key: name, "s-3": None}),
                {},
                f"entry 2 of external_keys_to_usernames: its {fault}, expected a string.",
            )
            for key, name, fault in (
                (None, SECRET_NAME, "external user key is None"),
                (7, SECRET_NAME, "external user key is of type int"),
                (b"nobody-may-see", SECRET_NAME, "external user key is of type bytes"),
                (SECRET_KEY, None, "LMS username is None"),
                (SECRET_KEY, ["nobody-may-see"], "LMS username is of type list"),
                (SECRET_KEY, True, "LMS username is of type bool"),
            )
        ),
    ],
)
def test_a_bad_argument_is_refused_and_no_learner_named(
    args: tuple[Any, ...], kwargs: dict[str, Any], text: str
) -> None:
    assert refusal(*args, **kwargs) == text


@pytest.mark.parametrize("letter", ["\0", "\ud800", "\udfffé"])
@pytest.mark.parametrize("part", ["external user key", "LMS username"])
def test_an_entry_that_no_database_can_store_is_refused_with_its_position(letter: str, part: str) -> None:
    bad = {SECRET_KEY + letter: "ada"} if part == "external user key" else {"s-3": SECRET_NAME + letter}

    assert refusal(PROGRAM, {"s-1": "ada", "é-2": "bob"} | bad) == (
        f"entry 3 of external_keys_to_usernames: its {part} holds a NUL character or half of a surrogate pair,"
        " which no database can store; remove it."
    )


@pytest.mark.parametrize("text", ["\N{PILE OF POO}", "é", "a b", "x" * 10_000, "\ufffe", "\N{ZERO WIDTH SPACE}"])
@pytest.mark.parametrize("space", ["", " ", "\t\r\n", "\N{NO-BREAK SPACE}", "\N{IDEOGRAPHIC SPACE} \x1f"])
def test_every_other_text_is_taken_without_the_white_space_around_it(text: str, space: str) -> None:
    padded = f"{space}{text}{space}"

    request = parse_link_request((PROGRAM, {padded: padded}), {})

    (learner,) = request.learners
    assert (learner.external_user_key, learner.lms_username) == (text, text)
    assert request.digest == parse_link_request((PROGRAM, {text: text}), {}).digest


@pytest.mark.parametrize("blank", ["", " ", "\t\n", "\N{NO-BREAK SPACE}"])
@pytest.mark.parametrize("part", ["external user key", "LMS username"])
def test_an_empty_key_or_username_is_refused_with_its_position(blank: str, part: str) -> None:
    bad = {blank: SECRET_NAME} if part == "external user key" else {SECRET_KEY: blank}

    assert refusal(PROGRAM, {"s-1": "ada"} | bad) == (
        f"entry 2 of external_keys_to_usernames: its {part} is empty, or white space only: give each entry both."
    )


@pytest.mark.parametrize("name", [SECRET_NAME, "ada"])
def test_keys_that_differ_only_in_white_space_around_them_are_refused(name: str) -> None:
    mapping = {
        "s-1": "ada",
        SECRET_KEY: SECRET_NAME,
        SECRET_KEY.upper(): "eve",
        f"{SECRET_KEY}\N{NO-BREAK SPACE}": name,
    }

    assert refusal(PROGRAM, mapping) == (
        "entries 2 and 4 of external_keys_to_usernames have the same external user key but for the white space around"
        " it, which is removed: keep one of them."
    )


def test_a_mapping_above_the_limit_is_refused_with_the_limit_and_the_ways_out() -> None:
    mapping = {f"{SECRET_KEY}{n}": SECRET_NAME for n in range(100_001)}

    assert refusal(PROGRAM, mapping) == (
        "external_keys_to_usernames has 100,001 entries, more than LINKING_MAX_MAPPING (100,000):"
        " send it as several jobs, or import it as a file."
    )
    mapping.popitem()
    assert parse_link_request((PROGRAM, mapping), {}).total == 100_000


def test_an_empty_mapping_is_a_request() -> None:
    assert list(parse_link_request((PROGRAM, {}), {}).learners) == []


BAD_OPTIONS: dict[str, tuple[str, list[Any]]] = {
    "idempotency_key": (
        "a text of 1 to 255 characters without NUL, or None",
        ["", 7, "x" * 256, "a\0", "a\ud800", MAPPING],
    ),
    "dry_run": ("true or false", [None, 1, "true", MAPPING]),
    "learners_per_subtask": ("a whole number from 1, or None", [0, -1, True, 1.0, "5", MAPPING]),
    "max_relinks": (
        "a whole number from 0, a percentage such as '5%', or None",
        [-1, True, 5.0, "5", "5 %", "5.5%", "-5%", "101%", "%", "5%\n", "\N{ARABIC-INDIC DIGIT FIVE}%", MAPPING],
    ),
}


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [(option, value, expected) for option, (expected, values) in BAD_OPTIONS.items() for value in values],
)
def test_a_bad_option_is_shown_with_what_is_expected(option: str, value: Any, expected: str) -> None:
    shown = "a dict" if value is MAPPING else repr(value)

    assert refusal(*BOTH, **{option: value}) == f"{option}={shown}: expected {expected}."


def test_an_undo_is_requested_by_place_or_by_name() -> None:
    job_id = UUID("5c8d9a52-1f0e-4c63-9a67-2b6f0d4e7a11")

    assert parse_undo_request((str(job_id),), {}) == (job_id, False)
    assert parse_undo_request((str(job_id), True), {}) == (job_id, True)
    assert parse_undo_request((), {"job_id": str(job_id), "dry_run": True}) == (job_id, True)


@pytest.mark.parametrize(
    ("args", "kwargs", "fault"),
    [
        ((), {}, "job_id not given: it is needed."),
        ((), {"s-1": "ada"}, "job_id not given: it is needed."),
        (("a", "b", "c"), {}, "3 positional arguments given, at most 2 taken: job_id, dry_run."),
        (("a",), {"job_id": "a"}, "job_id given twice, by place and by name: give each once."),
        (("a",), {"force": True}, "unknown argument 'force': known are job_id, dry_run."),
        (("all",), {}, f"job_id='all' {NO_JOB_ID}"),
        ((MAPPING,), {}, f"job_id=a dict {NO_JOB_ID}"),
        ((None,), {}, f"job_id=None {NO_JOB_ID}"),
        ((7,), {}, f"job_id=7 {NO_JOB_ID}"),
        (("all", MAPPING), {}, "dry_run=a dict: expected true or false."),
    ],
)
def test_a_bad_request_to_undo_is_refused(args: tuple[Any, ...], kwargs: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(fault)}$"):
        parse_undo_request(args, kwargs)


@pytest.mark.parametrize(
    ("max_relinks", "allowed"), [(None, None), (0, 0), (3, 3), ("0%", 0), ("5%", 2), ("100%", 50), ("09%", 4)]
)
def test_the_allowed_relinks_are_a_count_or_a_share_rounded_down(max_relinks: Any, allowed: int | None) -> None:
    assert allowed_relinks(max_relinks, total=50) == allowed


def test_the_digest_depends_on_the_program_the_mapping_in_order_and_the_options() -> None:
    def digest(mapping: dict[str, str], program: str = PROGRAM, **options: Any) -> str:
        return parse_link_request((program, mapping), options).digest

    one = digest(TWO)

    assert one == digest(TWO, PROGRAM.replace("-", ""), idempotency_key="other", dry_run=False)
    others = [
        digest({"s-2": "bob", "s-1": "ada"}),
        digest({"s-1": "ada"}),
        digest(TWO | {"s-2": "Bob"}),
        digest(TWO, PROGRAM.replace("1", "2")),
        digest(TWO, dry_run=True),
        digest(TWO, max_relinks=5),
        digest(TWO, learners_per_subtask=1),
    ]
    assert len({one, *others}) == 8
