"""A request that cannot be worked on is refused with a reason, and nobody else waits for it."""

import time
from collections.abc import Mapping
from typing import Any

import pytest
from django.db import connection

from tests.acceptance.recovery.conftest import StartWorker
from tests.support.ids import PROGRAM
from tests.support.poison_request import KILLS
from tests.support.populations import add_learners
from tests.support.service import FAILURES, LINK, Service, failure_of, result_of
from tests.support.triggers import failing_writes
from tests.support.waiting import wait_until
from worker.models import LinkingJob, RequestAttempts

PROMPTLY = 10.0
"""Seconds within which a job beside the request must end."""


def assert_others_run(caller: Service) -> None:
    """Assert that a job beside the request ends promptly."""
    began = time.monotonic()
    assert result_of(caller.link(add_learners(2))) == {}
    assert time.monotonic() - began < PROMPTLY


def assert_refused(caller: Service, task_id: str, kind: str, text: str) -> None:
    """Assert that the request ended with this failure, that its sender was notified, and that it left nothing."""
    assert failure_of(task_id) == (kind, text)
    wait_until(lambda: caller.broker.calls(FAILURES) == [[task_id]], "the sender is notified")
    caller.broker.wait_until_quiet()
    assert not LinkingJob.objects.filter(pk=task_id).exists()
    assert not RequestAttempts.objects.exists()


def test_a_request_that_ends_its_worker_each_time_is_refused(start_worker: StartWorker, caller: Service) -> None:
    start_worker(modules=("tests.support.poison_request",))

    poison = caller.link({KILLS: "ada"})
    wait_until(RequestAttempts.objects.exists, "the request is delivered again")

    assert_others_run(caller)
    assert_refused(
        caller,
        poison,
        "RequestFailedError",
        "the request has ended 5 workers, and was not begun again: send it as several jobs, and see the workers' log"
        " and memory.",
    )


@pytest.mark.parametrize("state", ["query_canceled", "disk_full", "out_of_memory"])
def test_a_request_that_a_limit_of_the_database_ends_each_time_is_refused(
    start_worker: StartWorker, caller: Service, state: str
) -> None:
    start_worker()
    codes = {"query_canceled": "57014", "disk_full": "53100", "out_of_memory": "53200"}

    with failing_writes("worker_learneroutcome", "external_user_key", "s-large", error=state):
        refused = caller.link({"s-large": "ada"})
        assert_others_run(caller)
        assert_refused(
            caller,
            refused,
            "RequestFailedError",
            f"the database ended 5 attempts at the request (OperationalError {codes[state]}): check the statement"
            " timeout of the worker's role, disk and memory of the database, or send it as several jobs.",
        )


def test_a_statement_timeout_that_a_request_exceeds_refuses_it(
    start_worker: StartWorker, caller: Service, worker_env: Mapping[str, str]
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE hasty SUPERUSER LOGIN")
        cursor.execute("ALTER ROLE hasty SET statement_timeout = '300ms'")
        cursor.execute("""
            CREATE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN PERFORM pg_sleep(1); RETURN NEW; END $$;
            CREATE TRIGGER be_slow BEFORE INSERT ON worker_learneroutcome FOR EACH ROW
                WHEN (NEW.external_user_key = 's-slow') EXECUTE FUNCTION be_slow();
        """)
    try:
        url = worker_env["DATABASE_URL"]
        user = url.removeprefix("postgresql://").partition("@")[0]
        worker = start_worker(env={"DATABASE_URL": url.replace(f"//{user}@", "//hasty@")})

        refused = caller.link({"s-slow": "ada"})

        assert_others_run(caller)
        kind, text = failure_of(refused)
        assert (kind, "57014" in text) == ("RequestFailedError", True)
        worker.kill()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER be_slow ON worker_learneroutcome; DROP FUNCTION be_slow; DROP ROLE hasty")


def test_an_oversized_request_is_refused_before_it_is_decoded(start_worker: StartWorker, caller: Service) -> None:
    worker = start_worker(env={"LINKING_MAX_REQUEST_BYTES": "20000"})
    mapping = {f"s-{'x' * 200}-{n}": "ada" for n in range(100)}
    options: dict[str, Any] = {"link": caller.callback(), "link_error": caller.callback(FAILURES)}

    refused = caller.send(LINK, str(PROGRAM), mapping, **options)

    assert_others_run(caller)
    kind, text = failure_of(refused)
    assert kind == "InvalidTaskError"
    assert text.endswith(
        "more than LINKING_MAX_REQUEST_BYTES (20,000): send it as several jobs, or import it as a file."
    )
    assert_refused(caller, refused, kind, text)
    assert "s-xxx" not in worker.log.read_text()
