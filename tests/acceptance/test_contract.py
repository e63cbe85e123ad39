"""The examples of the contract page, run unchanged."""

import base64
import importlib.util
import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import redis
from django.db import connection
from django.utils import timezone

from devservers import WorkerProcess
from linking.models import ProgramEnrollment
from tests.support.bare_service import BareService
from tests.support.broker import Broker
from tests.support.pages import blocks, program, table
from tests.support.rows import enroll, make_user
from tests.support.service import LINK, Service, ended, failure_of, result_of
from tests.support.stored import user_of
from worker import exceptions
from worker.models import LinkingJob

PAGE = "contract.md"
PROGRAM = UUID("5c8d9a52-1f0e-4c63-9a67-2b6f0d4e7a11")
LATER = {
    (name, "worker.exceptions") for name in ("JobFailedError", "JobError", "RequestFailedError", "DatabaseFailureError")
}
"""Failures after days without progress, of an undo, and of requests that end their workers or the database refuses."""
OF_OTHER_CONTENT = {("ContentDisallowed", "kombu.exceptions")}
"""The failure of messages that Celery clients do not send (``test_refused_messages.py``)."""
ERRORS = {"student-0002": "No user found with username grace"}


@pytest.fixture(autouse=True)
def _learners(celery_worker_process: WorkerProcess) -> None:
    """Write the learner of the examples that can be linked; the other has no LMS user."""
    assert celery_worker_process.is_running
    make_user("ada")
    enroll("student-0001", program_uuid=PROGRAM)
    enroll("student-0002", program_uuid=PROGRAM)


@pytest.fixture
def broker(redis_url: str) -> Broker:
    return Broker(redis_url)


def callbacks(broker: Broker) -> list[tuple[str, Any, str]]:
    """Return the calls in the service's queue: task, first argument, job."""
    broker.wait_until_quiet()
    calls = [
        (message["headers"], json.loads(base64.b64decode(message["body"]))) for message in broker.queued("enrollment")
    ]
    return [(headers["task"], args[0], headers["parent_id"]) for headers, (args, _, _) in calls]


def test_a_celery_client_gets_a_callback(bare_service: BareService, broker: Broker) -> None:
    bare_service.write(program(PAGE, "send.py"))

    sent = bare_service.run().strip()

    assert result_of(sent) == ERRORS
    assert callbacks(broker) == [("enrollment.linked", ERRORS, sent)]
    assert LinkingJob.objects.get().idempotency_key == "spring-2026/1"


def test_a_client_without_celery_gets_the_result(bare_service: BareService) -> None:
    bare_service.write(program(PAGE, "enqueue.py"))
    (bare_service.folder / "redis").symlink_to(Path(str(redis.__file__)).parent)
    # Without site-packages (-S): redis-py is all there is beside the standard library.
    missing = "import importlib.util as i; print([i.find_spec(n) for n in ('celery', 'kombu', 'django', 'worker')])"
    assert bare_service.run("-S", "-c", missing).strip() == str([None] * 4)
    assert importlib.util.find_spec("celery")

    printed = bare_service.run("-S", "service.py")

    assert json.loads(printed) == ERRORS
    job = LinkingJob.objects.get()
    assert (job.options["max_relinks"], job.counts) == (0, {"linked": 1, "no_user": 1})
    assert result_of(str(job.pk)) == ERRORS


def test_the_message_on_the_page_is_a_job_byte_by_byte(redis_url: str, broker: Broker) -> None:
    (envelope,) = blocks(PAGE, "json", "On Redis")
    body, *_ = blocks(PAGE, "json", "The message")
    assert base64.b64decode(json.loads(envelope)["body"]) == body.rstrip("\n").encode()
    task_id = json.loads(envelope)["headers"]["id"]

    with redis.Redis.from_url(redis_url) as client:
        client.lpush("linking", envelope.encode())

    assert result_of(task_id) == ERRORS
    assert callbacks(broker) == [("enrollment.linked", ERRORS, task_id)]
    assert LinkingJob.objects.get().idempotency_key == "spring-2026/3"


def test_the_result_is_read_by_the_statement_on_the_page(service: Service) -> None:
    (statement,) = blocks(PAGE, "sql")
    shown = {name for row in table(PAGE, "By SQL") for name in row[0].replace("`", "").split(", ")}
    sent = service.send(LINK, str(PROGRAM), {"student-0001": "ada", "student-0002": "grace"})
    result_of(sent)

    with connection.cursor() as cursor:
        cursor.execute(statement.replace(":task_id", "%s"), [sent])
        rows = cursor.fetchall()
        columns = connection.introspection.get_table_description(cursor, "django_celery_results_taskresult")

    assert [(status, json.loads(result)) for status, result in rows] == [("SUCCESS", ERRORS)]
    assert shown <= {column.name for column in columns}


def test_the_error_dictionary_and_the_failure_on_the_page_are_real(service: Service) -> None:
    (errors,) = blocks(PAGE, "json", "The error dictionary")
    (failure,) = blocks(PAGE, "json", "Failures")
    learners = {"student-0001": "ada", "student-0002": "grace", "student-0003": "ada"}
    result_of(service.send(LINK, str(PROGRAM), learners))

    again = service.send(LINK, str(PROGRAM), learners)
    refused = service.send(LINK, "nonsense", learners)

    assert list(result_of(again).items()) == list(json.loads(errors).items())
    assert json.loads(ended(refused).result) == json.loads(failure)


def test_each_failure_is_stored_under_the_name_on_the_page(service: Service) -> None:
    learners = {"student-0001": "ada"}
    enroll("student-0009", make_user("grace"), program_uuid=PROGRAM)
    result_of(service.send(LINK, str(PROGRAM), learners, kwargs={"idempotency_key": "k"}))

    failures = [
        service.send("linking.nothing", str(PROGRAM), learners),
        service.send(LINK, str(PROGRAM), learners, expires=timezone.now() - timedelta(seconds=1)),
        service.send(LINK, str(PROGRAM), learners, task_id="not-a-uuid"),
        service.send(LINK, str(PROGRAM), {"student-0009": "ada"}, kwargs={"max_relinks": 0}),
        service.send(LINK, str(PROGRAM), {}, kwargs={"idempotency_key": "k"}),
        service.send(LINK, str(PROGRAM), learners, time_limit="soon"),
    ]

    shown = {(kind.strip("`"), module.strip("`")) for kind, module, *_ in table(PAGE, "Failures")}
    stored = [json.loads(ended(one).result) for one in failures]
    kinds = [
        "NotRegistered",
        "TaskRevokedError",
        "ValueError",
        "JobRefusedError",
        "IdempotencyConflictError",
        "InvalidTaskError",
    ]
    assert [one["exc_type"] for one in stored] == kinds
    assert {(one["exc_type"], one["exc_module"]) for one in stored} == shown - LATER - OF_OTHER_CONTENT
    assert all(module == getattr(exceptions, name).__module__ for name, module in LATER)


def test_a_job_is_undone_as_documented(service: Service) -> None:
    (arguments,) = blocks(PAGE, "json", "Undo")
    (job_id,) = json.loads(arguments)
    service.send(LINK, str(PROGRAM), {"student-0001": "ada"}, task_id=job_id)
    assert result_of(job_id) == {}
    enrollment = ProgramEnrollment.objects.get(external_user_key="student-0001")
    assert user_of(enrollment) == "ada"

    rehearsed = service.send("linking.undo_job", job_id, kwargs={"dry_run": True})
    assert (result_of(rehearsed), user_of(enrollment)) == ({}, "ada")
    undone = service.send("linking.undo_job", job_id)
    assert (result_of(undone), user_of(enrollment)) == ({}, None)
    assert failure_of(service.send("linking.undo_job", job_id))[0] == "JobError"
