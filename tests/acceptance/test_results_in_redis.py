"""Results in Redis (``CELERY_RESULT_BACKEND``): a client of Celery waits for a job with ``get()``."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest
from celery import Celery
from celery.exceptions import TaskRevokedError
from django_celery_results.models import TaskResult

from devservers import WorkerProcess
from tests.support.bare_service import BareService
from tests.support.broker import TASKS, Broker
from tests.support.canvas_service import CanvasService
from tests.support.ids import PROGRAM
from tests.support.pages import program
from tests.support.populations import add_learners
from tests.support.programs import run
from tests.support.redis_dump import dump
from tests.support.rows import enroll, make_user
from tests.support.secrecy import SECRET, assert_silent, captured_events
from tests.support.service import FAILURES, LINK
from tests.support.waiting import wait_until
from worker.models import LinkingJob

TIMEOUT = 60
"""Seconds for a job."""
ERRORS = {"student-0002": "No user found with username grace"}


@pytest.fixture
def urls(start_worker: Callable[..., WorkerProcess], isolated_env: dict[str, str]) -> tuple[str, str]:
    """Broker and results of a worker that stores results in Redis, in the database beside the broker's."""
    broker = isolated_env["CELERY_BROKER_URL"]
    results = broker.removesuffix("/1") + "/2"
    start_worker(isolated_env | {"CELERY_RESULT_BACKEND": results})
    return broker, results


@pytest.fixture
def client(urls: tuple[str, str]) -> Iterator[Celery]:
    """A client of Celery that knows where the results are."""
    broker, results = urls
    with Celery(broker=broker, backend=results, set_as_current=False) as app:
        app.conf.update(
            broker_read_url=broker, broker_write_url=broker, task_default_queue=TASKS, control_exchange=TASKS
        )
        yield app


def test_get_returns_the_error_dictionary_of_a_job_of_several_slices_and_raises_the_error_of_a_call(
    client: Celery,
) -> None:
    mapping = add_learners(5) | {"lost": "nobody"}
    errors = {"lost": "No user found with username nobody"}
    options = {"learners_per_subtask": 2, "idempotency_key": "spring"}

    sent = client.send_task(LINK, (str(PROGRAM), mapping), options)
    again = client.send_task(LINK, (str(PROGRAM), mapping), options)
    invalid = client.send_task(LINK, ("nonsense", mapping))

    assert [sent.get(timeout=TIMEOUT), again.get(timeout=TIMEOUT)] == [errors, errors]
    with pytest.raises(ValueError, match="'nonsense' is not a UUID"):
        invalid.get(timeout=TIMEOUT)
    job = LinkingJob.objects.get()
    assert (job.state, job.slices.count(), job.notified is not None) == ("done", 3, True)
    assert not TaskResult.objects.exists()


def test_arguments_are_not_kept_with_results(client: Celery, urls: tuple[str, str]) -> None:
    invalid = client.send_task(LINK, ("nonsense", {f"{SECRET}-key": f"{SECRET}-name"}))

    with pytest.raises(ValueError, match="'nonsense' is not a UUID"):
        invalid.get(timeout=TIMEOUT)

    assert_silent("Redis", dump(urls[1]))


def test_after_a_person_is_forgotten_redis_and_events_name_them_nowhere(client: Celery, urls: tuple[str, str]) -> None:
    mapping = add_learners(2) | {f"{SECRET}-key": f"{SECRET}-nobody"}
    names = (f"{SECRET}-KEY", f"{SECRET}-nobody")
    job_id = client.send_task(LINK, (str(PROGRAM), mapping))
    assert list(job_id.get(timeout=TIMEOUT)) == [f"{SECRET}-key"]
    assert SECRET in "".join(map(dump, urls))

    with captured_events(urls[0]) as events:
        forgotten = client.send_task("linking.forget_learner", names)
        counts = {"learners": 1, "mentions": 0, "results": 0, "files": [], "unreadable": []}
        assert forgotten.get(timeout=TIMEOUT) == counts
        wait_until(lambda: any(event["type"] == "task-succeeded" for event in events), "the task has ended")
    with closing(Broker(urls[0])) as broker:
        broker.wait_until_quiet()

    assert_silent("Redis", "".join(map(dump, urls)))
    assert_silent("an event", str(events))
    job = LinkingJob.objects.get()
    assert job.counts == {"linked": 2, "no_user": 1}
    assert not job.learners.filter(external_user_key__contains=SECRET).exists()


def test_a_failure_is_the_callers_as_with_results_in_the_database(client: Celery) -> None:
    revoked, begun = str(uuid4()), str(uuid4())
    assert client.control.revoke(revoked, reply=True)
    errback = client.signature("service.fail", queue=FAILURES)

    client.send_task(LINK, (str(PROGRAM), {}), task_id=revoked, link_error=errback)
    client.send_task(LINK, (str(PROGRAM), {}), task_id=begun)
    assert client.AsyncResult(begun).get(timeout=TIMEOUT) == {}
    client.send_task(LINK, (str(PROGRAM), {"s-1": "ada"}), task_id=begun, link_error=errback)

    with pytest.raises(TaskRevokedError):
        client.AsyncResult(revoked).get(timeout=TIMEOUT)
    with closing(Broker(client.conf.broker_write_url)) as broker:
        wait_until(lambda: broker.calls(FAILURES) == [[revoked], [begun]], "the error callbacks are called")
    assert client.AsyncResult(begun).get(timeout=TIMEOUT) == {}


def test_a_chord_works_on_the_same_redis_and_is_refused_on_another(
    urls: tuple[str, str], bare_service: BareService, database_url: str
) -> None:
    bare_service.env["BROKER"], results = urls
    same = CanvasService(bare_service, results, database_url)

    same.send("mixed chord", str(PROGRAM), add_learners(1) | {"lost": "nobody"})
    same.wait_for_call("received", [{"lost": "No user found with username nobody"}, 1], "body")

    bare_service.env["BACKEND"] = results.removesuffix("/2") + "/3"
    body, *_ = same.send("chord", str(PROGRAM), {})
    same.wait_for_call("failed", body)


def test_the_program_of_the_contract_page_prints_the_error_dictionary(urls: tuple[str, str], tmp_path: Path) -> None:
    make_user("ada")
    for key in ("student-0001", "student-0002"):
        enroll(key, program_uuid="5c8d9a52-1f0e-4c63-9a67-2b6f0d4e7a11")
    (tmp_path / "get.py").write_text(program("contract.md", "get.py"))
    environment = {"PATH": os.environ["PATH"], "BROKER": urls[0], "RESULTS": urls[1]}

    process = run(sys.executable, str(tmp_path / "get.py"), env=environment)

    assert process.stdout.strip() == str(ERRORS), process.stderr
