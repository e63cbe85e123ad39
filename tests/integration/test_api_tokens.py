"""Tokens: who may do what over HTTP, and how often."""

import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from tests.support.api import JOBS, ApiClient, make_token, problem_of
from tests.support.ids import OTHER_PROGRAM, PROGRAM
from tests.support.jobs import run_job, submit
from tests.support.threads import at_once
from tests.support.visitors import BY_TLS, superuser
from worker.api_tokens import access, allowances
from worker.api_tokens.access import find_token, issue
from worker.api_tokens.models import Allowance, ApiToken
from worker.models import LinkingJob

pytestmark = pytest.mark.usefixtures("redis_url")

MAPPING = {"s-1": "nobody"}
REFUSED: dict[str, Callable[[], dict[str, str]]] = {
    "none": dict,
    "unknown": lambda: bearer(access.PREFIX + "x" * 43),
    "malformed": lambda: bearer("x"),
    "empty": lambda: bearer(""),
    "not ASCII": lambda: bearer("é"),
    "revoked": lambda: bearer(make_token(revoked=timezone.now())),
    "expired": lambda: bearer(make_token(expires=timezone.now() - timedelta(seconds=1))),
    "another scheme": lambda: {"Authorization": f"Basic {make_token()}"},
    "the hash of a token": lambda: bearer(ApiToken.objects.get(digest__in=[_digest_of(make_token())]).digest),
}


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def _digest_of(secret: str) -> str:
    token = find_token(secret)
    assert token
    return token.digest


@pytest.mark.parametrize("headers", REFUSED.values(), ids=REFUSED)
def test_without_a_valid_token_nothing_is_read_or_submitted(headers: Callable[[], dict[str, str]]) -> None:
    job = submit(MAPPING)
    client = Client(headers=BY_TLS | headers())
    body = json.dumps({"program_uuid": str(PROGRAM), "external_keys_to_usernames": MAPPING})

    responses = [client.get(f"{JOBS}/{job.pk}"), client.get(f"{JOBS}/{uuid4()}")]
    responses.append(client.post(JOBS, body, content_type="application/json"))

    assert {problem_of(response)[0] for response in responses} == {401}
    assert {response["WWW-Authenticate"] for response in responses} == {"Bearer"}
    assert LinkingJob.objects.count() == 1


def test_a_login_to_the_pages_is_no_token() -> None:
    assert superuser().get(f"{JOBS}/{submit(MAPPING).pk}").status_code == 401


def test_no_response_sets_a_cookie() -> None:
    assert not ApiClient().submit(MAPPING).cookies


def test_a_token_does_what_its_scopes_are_for_and_nothing_else() -> None:
    job = submit(MAPPING)
    reader, submitter = ApiClient(make_token("read")), ApiClient(make_token("submit"))

    assert reader.get(f"{JOBS}/{job.pk}").status_code == 200
    assert submitter.submit(MAPPING).status_code == 202
    refused = [reader.submit(MAPPING), submitter.get(f"{JOBS}/{job.pk}"), submitter.get(f"{JOBS}/{uuid4()}")]
    assert [problem_of(response)[0] for response in refused] == [403] * 3
    assert 'error="insufficient_scope"' in refused[0]["WWW-Authenticate"]
    assert LinkingJob.objects.count() == 2


def test_a_token_for_programs_neither_submits_nor_sees_jobs_of_others() -> None:
    client = ApiClient(make_token(programs=[str(PROGRAM)]))
    ours, theirs = run_job(MAPPING), run_job(MAPPING, OTHER_PROGRAM)

    assert client.get(f"{JOBS}/{ours.pk}").status_code == 200
    assert problem_of(client.get(f"{JOBS}/{theirs.pk}")) == problem_of(client.get(f"{JOBS}/{uuid4()}"))
    assert client.submit(MAPPING).status_code == 202
    assert client.submit(MAPPING, PROGRAM.hex.upper()).status_code == 202
    assert problem_of(client.submit(MAPPING, OTHER_PROGRAM))[0] == 403
    assert LinkingJob.objects.filter(program_uuid=OTHER_PROGRAM).count() == 1


def test_a_token_for_programs_learns_no_id_of_another_job_from_a_conflict() -> None:
    other = submit(MAPPING, OTHER_PROGRAM, idempotency_key="spring")

    status, detail = problem_of(ApiClient(make_token(programs=[str(PROGRAM)])).submit(MAPPING, key="spring"))

    assert status == 409
    assert str(other.pk) not in detail


def test_the_database_holds_no_secret() -> None:
    secret = make_token()

    rows = str(list(ApiToken.objects.values()))

    assert secret not in rows
    assert secret.removeprefix(access.PREFIX) not in rows
    assert len(secret) == len(access.PREFIX) + 43  # 256 bits.
    assert secret != make_token()


def test_the_last_use_is_written_at_most_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    client = ApiClient()
    token = ApiToken.objects.get()
    assert token.last_used is None

    times = list[Any]()
    for minutes in (0, 0.9, 1.1):
        later = timezone.now() + timedelta(minutes=minutes)
        monkeypatch.setattr(timezone, "now", lambda later=later: later)
        client.get(f"{JOBS}/{uuid4()}")
        token.refresh_from_db()
        times.append(token.last_used)
        monkeypatch.undo()

    assert times[0] is not None
    assert times[0] == times[1]
    assert times[2] is not None
    assert times[2] - times[0] > timedelta(minutes=1)


# --- Limits -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A clock that stands still; a call sets it, in seconds."""
    begin = time.time_ns()

    def set_clock(seconds: float) -> None:
        monkeypatch.setattr(time, "time_ns", lambda: begin + int(seconds * 1e9))

    set_clock(0)
    return set_clock


def test_a_token_sends_its_requests_of_a_minute_and_then_waits(clock: Callable[[float], None]) -> None:
    client, other = ApiClient(make_token(requests_per_minute=3)), ApiClient()
    path = f"{JOBS}/{submit(MAPPING).pk}"

    def statuses(seconds: float, requests: int) -> list[int]:
        clock(seconds)
        return [client.get(path).status_code for _ in range(requests)]

    assert statuses(0, 4) == [200, 200, 200, 429]
    refused = client.submit(MAPPING)
    assert problem_of(refused)[0] == 429
    assert refused["Retry-After"] == "20"
    assert other.get(path).status_code == 200
    assert statuses(19.9, 1) == [429]
    assert statuses(20, 2) == [200, 429]
    assert statuses(80, 4) == [200, 200, 200, 429]
    assert LinkingJob.objects.count() == 1


@pytest.mark.usefixtures("clock")
@pytest.mark.django_db(transaction=True)
def test_requests_at_the_same_time_do_not_exceed_the_allowance() -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    token = find_token(make_token(requests_per_minute=5))
    assert token

    waits = at_once(12, lambda _: allowances.charge_token(token))

    assert waits.count(0) == 5


@pytest.mark.usefixtures("clock")
def test_an_address_with_many_failures_is_told_to_wait_but_no_valid_token_is_locked_out() -> None:
    def attempt(address: str, secret: str | None = None) -> Any:
        return Client(headers=BY_TLS | bearer(secret or "x") | {"X-Forwarded-For": address}).get(f"{JOBS}/{uuid4()}")

    statuses = [attempt("10.0.0.1").status_code for _ in range(allowances.FAILURES_PER_MINUTE + 2)]

    assert statuses == [401] * allowances.FAILURES_PER_MINUTE + [429] * 2
    assert attempt("10.0.0.1")["Retry-After"] == "2"
    assert attempt("10.0.0.2").status_code == 401
    assert attempt("9.9.9.9, 10.0.0.1").status_code == 429  # The client wrote the first, the proxy the last.
    assert attempt("10.0.0.1", make_token()).status_code == 404
    assert not Allowance.objects.filter(key__contains="10.0.0")


@pytest.mark.usefixtures("clock")
def test_without_a_proxy_the_header_of_the_client_counts_for_nothing(settings: Settings) -> None:
    settings.TLS_PROXY = settings.SECURE_SSL_REDIRECT = False
    addresses = [f"10.0.0.{n}" for n in range(allowances.FAILURES_PER_MINUTE + 1)]

    statuses = [Client(headers={"X-Forwarded-For": address}).post(JOBS).status_code for address in addresses]

    assert statuses[-2:] == [401, 429]


@pytest.mark.usefixtures("clock")
def test_a_client_has_all_addresses_of_its_network() -> None:
    first, second, other = "2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1"
    waits = [allowances.charge_failure(first) for _ in range(allowances.FAILURES_PER_MINUTE)]

    assert max(waits) == 0
    assert allowances.charge_failure(second) > 0
    assert allowances.charge_failure(other) == 0
    assert allowances.charge_failure("nonsense") == 0


def test_a_secret_is_found_among_others() -> None:
    token = ApiToken(name="one", can_read=True)
    secret = issue(token)
    make_token()

    assert find_token(secret) == token
    assert find_token(secret[:-1] + ("a" if secret[-1] != "a" else "b")) is None
