"""The JSON Schema of the task's arguments and the worker accept the same arguments."""

import json
import string
import sys
from importlib.resources import files
from typing import Any

import pytest
from django.conf import settings
from hypothesis import event, example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.support.pages import blocks
from worker.jobs.request import KEYWORD_ONLY, POSITIONAL, parse_link_request

SCHEMA = json.loads(files("worker.jobs").joinpath("link_program_enrollments.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)
PROGRAM = "11111111-1111-4111-8111-111111111111"
ARGUMENTS: dict[str, Any] = {"program_uuid": PROGRAM, "external_keys_to_usernames": {"s-1": "ada"}}

WHITE_SPACE = "".join(letter for letter in map(chr, range(sys.maxunicode + 1)) if letter.isspace())
texts = st.text(st.characters(), max_size=4) | st.text("a\0\ud800\udfffé\n", max_size=4)
numbers = st.integers(-2, 3) | st.integers() | st.floats(allow_nan=False) | st.sampled_from([0.0, 1.0, 5.0])
shares = st.builds(
    "{}{}%{}".format, st.sampled_from(["", "0", "00", "-", " "]), st.integers(0, 110), st.sampled_from(["", "", "\n"])
)
uuids = (
    st.uuids().map(str)
    | st.uuids().map(lambda one: one.hex.upper())
    | st.uuids().map(lambda one: f"{{{one}}}")
    | st.uuids().map(lambda one: one.urn)
    | st.text(string.hexdigits + "-", min_size=30, max_size=37)
    | st.uuids().map(lambda one: f"{one}\n")
)
anything = st.recursive(
    st.none() | st.booleans() | numbers | texts | shares | uuids,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=3,
)
likely = {
    "program_uuid": uuids,
    "external_keys_to_usernames": st.dictionaries(texts, texts | anything, max_size=3) | st.dictionaries(texts, texts),
    "idempotency_key": texts | st.none() | st.sampled_from(["k" * 255, "k" * 256, "\N{PILE OF POO}" * 255]),
    "dry_run": st.booleans(),
    "max_relinks": shares | numbers | st.none(),
    "learners_per_subtask": numbers | st.none(),
}


@st.composite
def arguments(draw: st.DrawFn) -> dict[str, Any]:
    """Draw arguments by name that are right, but for some that may be anything, missing or unknown."""
    given = ARGUMENTS | draw(st.fixed_dictionaries({}, optional=likely))
    for name in draw(st.lists(st.sampled_from([*likely, "max_relink", "task_id"]), max_size=2)):
        if draw(st.booleans()):
            given[name] = draw(anything)
        else:
            given.pop(name, None)
    return given


def worker_accepts(args: list[Any], kwargs: dict[str, Any]) -> bool:
    try:
        parse_link_request(args, kwargs)
    except ValueError:
        return False
    return True


def is_inexpressible(given: dict[str, Any]) -> bool:
    """Return whether a schema cannot express a rule on these arguments; ``docs/contract.md`` lists the cases."""
    if any(isinstance(given.get(name), float) for name in ("max_relinks", "learners_per_subtask")):
        return True  # 5.0 is an integer to JSON Schema.
    mapping = given.get("external_keys_to_usernames")
    if isinstance(mapping, dict) and len({key.strip() for key in mapping}) < len(mapping):
        return True  # Keys that differ only in white space around them.
    program = given.get("program_uuid")
    spelling = VALIDATOR.evolve(schema=SCHEMA["properties"]["program_uuid"])
    # Python takes more spellings of a UUID than the contract.
    return isinstance(program, str) and not spelling.is_valid(program)


@given(arguments())
@example(ARGUMENTS | {"max_relinks": "100%"})
@example(ARGUMENTS | {"max_relinks": "101%"})
@example(ARGUMENTS | {"max_relinks": True})
@example(ARGUMENTS | {"idempotency_key": ""})
@example(ARGUMENTS | {"external_keys_to_usernames": {"": "\0"}})
@example(ARGUMENTS | {"external_keys_to_usernames": {"": "ada"}})
@example(ARGUMENTS | {"external_keys_to_usernames": {"s-1": WHITE_SPACE}})
@example(ARGUMENTS | {"external_keys_to_usernames": {WHITE_SPACE: "ada"}})
@example(ARGUMENTS | {"external_keys_to_usernames": {"s-1": "\N{ZERO WIDTH SPACE}"}})
@example(ARGUMENTS | {"external_keys_to_usernames": {"\udfff": ""}})
def test_the_schema_accepts_the_same_arguments_as_the_worker(given: dict[str, Any]) -> None:
    accepted = VALIDATOR.is_valid(given)
    event(f"accepted: {accepted}")
    if not is_inexpressible(given):
        assert worker_accepts([], given) == accepted


@given(arguments())
@example(ARGUMENTS)
def test_the_worker_accepts_by_place_what_the_schema_accepts(given: dict[str, Any]) -> None:
    if VALIDATOR.is_valid(given) and not is_inexpressible(given):
        by_name = {name: given[name] for name in given.keys() - POSITIONAL}
        assert worker_accepts([given[name] for name in POSITIONAL], by_name)


@pytest.mark.parametrize(
    "given",
    [
        ARGUMENTS | {"max_relinks": 5.0},
        ARGUMENTS | {"external_keys_to_usernames": {"s-1": "ada", " s-1": "bob"}},
        ARGUMENTS | {"program_uuid": f"urn:uuid:{PROGRAM}"},
        ARGUMENTS | {"program_uuid": f"{{{PROGRAM}}}"},
        ARGUMENTS | {"program_uuid": PROGRAM.replace("-", "", 1)},
    ],
)
def test_the_documented_differences_exist(given: dict[str, Any]) -> None:
    assert worker_accepts([], given) != VALIDATOR.is_valid(given)


def test_the_schema_is_valid_and_has_every_argument_default_and_limit() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert [*SCHEMA["properties"]] == [*POSITIONAL, *KEYWORD_ONLY]
    assert SCHEMA["required"] == [*POSITIONAL]
    defaults = {name: rule["default"] for name, rule in SCHEMA["properties"].items() if "default" in rule}
    request = parse_link_request([], ARGUMENTS)
    assert defaults == {name: getattr(request, name) for name in KEYWORD_ONLY}
    assert SCHEMA["properties"]["external_keys_to_usernames"]["maxProperties"] == settings.LINKING_MAX_MAPPING


def test_the_arguments_on_the_page_are_accepted() -> None:
    (page,) = blocks("contract.md", "json", "Arguments")

    assert VALIDATOR.is_valid(json.loads(page))
    assert worker_accepts([], json.loads(page))
