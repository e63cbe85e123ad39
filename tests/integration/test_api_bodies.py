"""Bodies of requests that are no submission: each is refused before anything is written, with the fault and remedy."""

from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import Settings

from tests.support.api import JOBS, ApiClient, problem_of
from tests.support.ids import PROGRAM
from worker.models import LinkingJob

START = f'{{"program_uuid": "{PROGRAM}", "external_keys_to_usernames": '


@pytest.fixture(autouse=True)
def _nothing_is_written() -> Iterator[None]:
    yield
    assert not LinkingJob.objects.exists()


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b" ", "is not JSON: Expecting value (line 1, column 2)"),
        (b"{'a': 1}", "is not JSON: Expecting property name"),
        (START + '{"s-1": "ada"}', "is not JSON: Expecting ',' delimiter"),
        (b'{"a": "\xff"}', "not UTF-8 (byte 8)"),
        (b"[]", "is a list: expected an object"),
        (b'"text"', "is a str: expected an object"),
        (b'{"dry_run": NaN}', "a value that is no JSON"),
        (b'{"max_relinks": ' + b"9" * 5_000 + b"}", "a number that is too long"),
        (b"[" * 90, "is not JSON"),
        (b"[" * 100_000, "more values than a mapping"),
        (b"[" + b"1," * 500_000 + b"1]", "more values than a mapping"),
        (START + "{" + ", ".join(f'"s-{n}": "u"' for n in range(300_000)) + "}}", "more values than a mapping"),
        (START + '{"s-1": "ada", "s-2": "eve", "s-1": "bob"}}', "has the same key in its entries 1 and 3"),
        (b'{"dry_run": true, "dry_run": false}', "has the same key in its entries 1 and 2"),
    ],
    ids=range(14),
)
def test_a_body_that_is_no_json_object_of_bounded_size_is_refused(body: str | bytes, fault: str) -> None:
    status, detail = problem_of(ApiClient().post(body))

    assert status == 400
    assert fault in detail
    assert "s-1" not in detail


def test_strings_with_brackets_and_quotes_are_no_structure() -> None:
    client = ApiClient()
    key = '{[,:\\"' * 100

    status, detail = problem_of(client.submit({key: "u"}, program="nonsense"))

    assert (status, detail.partition("=")[0]) == (400, "program_uuid")


@pytest.mark.parametrize(
    ("content_type", "headers"),
    [
        ("text/plain", {}),
        ("application/x-www-form-urlencoded", {}),
        ("multipart/form-data; boundary=x", {}),
        ("application/json", {"Content-Encoding": "gzip"}),
    ],
)
def test_only_json_is_read(content_type: str, headers: dict[str, str]) -> None:
    assert problem_of(ApiClient().post("{}", content_type, headers=headers))[0] == 415


def test_json_in_utf_8_may_say_so() -> None:
    assert problem_of(ApiClient().post("{}", "application/json; charset=utf-8"))[0] == 400


@pytest.mark.parametrize(("length", "status"), [("", 411), ("x", 411), ("-1", 411), ("1001", 413), ("9" * 18, 413)])
def test_a_body_without_a_length_or_above_the_limit_is_not_read(settings: Settings, length: str, status: int) -> None:
    settings.LINKING_MAX_REQUEST_BYTES = 1000
    unread: Any = "{}"

    response = ApiClient().post(unread, CONTENT_LENGTH=length)

    assert problem_of(response)[0] == status


@pytest.mark.parametrize(
    ("key", "fault"),
    [("é", "printable ones of ASCII"), ("k" * 256, "idempotency_key="), ("", "idempotency_key=")],
)
def test_an_invalid_idempotency_key_is_refused(key: str, fault: str) -> None:
    status, detail = problem_of(ApiClient().submit({}, key=key))

    assert status == 400
    assert fault in detail


def test_an_idempotency_key_in_the_body_is_refused() -> None:
    status, detail = problem_of(ApiClient().submit({}, key="a", idempotency_key="a"))

    assert (status, detail.partition(":")[0]) == (400, "idempotency_key is not in the body here")


def test_long_values_are_not_sent_back_whole() -> None:
    _, detail = problem_of(ApiClient().submit({}, program="x" * 100_000))

    assert len(detail) == 2_000


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("put", JOBS, 405),
        ("get", JOBS, 405),
        ("get", f"{JOBS}/", 404),
        ("get", "/api/other", 404),
        ("get", "/api/", 404),
    ],
)
def test_other_paths_and_methods_are_problems_too(method: str, path: str, status: int) -> None:
    client = ApiClient()

    response = getattr(client.client, method)(path)

    assert problem_of(response)[0] == status
    assert ("Allow" in response) == (status == 405)
