"""The input check: bad arguments are refused before anything is read or written."""

from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from linking import api
from tests.support.ids import PROGRAM
from tests.support.rows import enroll, make_user
from tests.support.stored import user_of


@pytest.mark.parametrize(
    ("program", "mapping"),
    [
        pytest.param(PROGRAM, {"s-1": "ada", "s-2": None}, id="username None"),
        pytest.param(PROGRAM, {"s-1": "ada", None: "bob"}, id="key None"),
        pytest.param(PROGRAM, {"s-1": "ada", "s-2": 7}, id="username a number"),
        pytest.param(PROGRAM, {"s-1": "ada", 7: "bob"}, id="key a number"),
        pytest.param(PROGRAM, {"s-1": "ada", "s-2": b"bob"}, id="username bytes"),
        pytest.param(PROGRAM, {"s-1": "ada", b"s-2": "bob"}, id="key bytes"),
        pytest.param(PROGRAM, {"s-1": "ada", "s-2": ["bob"]}, id="username a list"),
        pytest.param(PROGRAM, {"s-1": "ada", "s-2": True}, id="username a boolean"),
        pytest.param("no uuid", {"s-1": "ada"}, id="program no UUID"),
        pytest.param("", {"s-1": "ada"}, id="program empty"),
        pytest.param(None, {"s-1": "ada"}, id="program None"),
        pytest.param(7, {"s-1": "ada"}, id="program a number"),
        pytest.param(PROGRAM.bytes, {"s-1": "ada"}, id="program bytes"),
        pytest.param("no uuid", {}, id="program no UUID and nothing to do"),
    ],
)
def test_a_bad_input_is_refused_before_anything_is_read_or_written(program: Any, mapping: Any) -> None:
    make_user("ada")
    enrollment = enroll("s-1")

    with CaptureQueriesContext(connection) as queries, pytest.raises(ValueError, match=r"\S") as refusal:
        api.link_program_enrollments(program, mapping)

    assert not any(name in str(refusal.value) for name in ("ada", "s-1", "bob"))
    assert queries.captured_queries == []
    assert user_of(enrollment) is None


@pytest.mark.parametrize(
    "program", [PROGRAM, str(PROGRAM), str(PROGRAM).upper(), PROGRAM.hex, f"{{{PROGRAM}}}", PROGRAM.urn]
)
def test_a_program_is_named_by_a_uuid_or_its_string(program: UUID | str) -> None:
    make_user("ada")
    enrollment = enroll("s-1")

    assert api.link_program_enrollments(program, {"s-1": "ada"}) == {}
    assert user_of(enrollment) == "ada"


def test_a_subclass_of_string_is_a_string() -> None:
    class Text(str):
        __slots__ = ()

    make_user("ada")
    enrollment = enroll("s-1")

    assert api.link_program_enrollments(PROGRAM, {Text("s-1"): Text("ada")}) == {}
    assert user_of(enrollment) == "ada"
