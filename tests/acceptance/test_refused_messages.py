"""Messages that are never worked on: the caller hears of each by its result and by its error callback."""

import json
import pickle
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery
from django.db import connection
from django.utils import timezone
from django_celery_results.models import TaskResult

from tests.support.ids import PROGRAM
from tests.support.pages import blocks, table
from tests.support.sender import Sender
from tests.support.service import ANSWERS, FAILURES, LINK, NEXT, Service, ended, result_of
from tests.support.waiting import wait_until
from worker.models import LinkingJob

ERRBACK = {"task": "service.receive", "args": [], "kwargs": {}, "options": {"queue": FAILURES}}
EMBEDDED: dict[str, Any] = {"callbacks": None, "errbacks": [ERRBACK], "chain": None, "chord": None}
ARGS = [str(PROGRAM), {}]
GOOD = json.dumps([ARGS, {}, EMBEDDED]).encode()


@pytest.fixture
def sender(service: Service, worker_env: dict[str, str]) -> Sender:
    assert service
    return Sender(worker_env["CELERY_BROKER_URL"])


def end_of(task_id: str) -> tuple[str, str, str]:
    """Wait, with the contract page's statement, for a task to end; return its status, and its exception's names."""
    (statement,) = blocks("contract.md", "sql")
    rows: list[Any] = []

    def has_ended() -> bool:
        with connection.cursor() as cursor:
            cursor.execute(statement.replace(":task_id", "%s"), [task_id])
            rows[:] = cursor.fetchall()
        return bool(rows)

    wait_until(has_ended, f"the statement on the page returns a row for {task_id}", timeout=20)
    ((status, result),) = rows
    failure = json.loads(result)
    names = (failure["exc_type"], failure["exc_module"])
    assert names in [(kind.strip("`"), module.strip("`")) for kind, module, *_ in table("contract.md", "Failures")]
    return status, *names


def test_a_message_that_is_revoked_or_expired_ends_as_such(service: Service, worker_env: dict[str, str]) -> None:
    errback: dict[str, Any] = {"link_error": service.callback(FAILURES), "link": service.callback()}
    revoked, last = str(uuid4()), str(uuid4())
    with Celery(broker=worker_env["CELERY_BROKER_URL"], set_as_current=False) as client:
        client.conf.control_exchange = "linking"
        assert client.control.revoke(revoked, reply=True)

    expired = service.send(LINK, *ARGS, expires=timezone.now() - timedelta(seconds=1), **errback)
    service.send(LINK, *ARGS, task_id=revoked, chain=[service.callback(NEXT, task_id=last)], **errback)

    for task_id in (expired, revoked, last):
        assert end_of(task_id) == ("REVOKED", "TaskRevokedError", "celery.exceptions")
    service.broker.wait_until_quiet()
    assert sorted(service.broker.calls(FAILURES)) == sorted([[expired], [revoked]])
    assert service.broker.queued(ANSWERS) == service.broker.queued(NEXT) == []
    assert not LinkingJob.objects.exists()


def test_a_message_of_a_job_that_is_revoked_or_expired_leaves_the_job_its_result(service: Service) -> None:
    task_id = service.link({})
    assert result_of(task_id) == {}

    service.link({}, task_id)
    expired = timezone.now() - timedelta(seconds=1)
    service.send(LINK, *ARGS, task_id=task_id, expires=expired, link_error=service.callback(FAILURES))

    service.broker.wait_until_quiet()
    assert ended(task_id).status == "SUCCESS"
    assert service.broker.calls(FAILURES) == []


def test_a_message_that_is_refused_ends_as_such(service: Service, sender: Sender) -> None:
    broken = json.dumps([ARGS, [], EMBEDDED]).encode()
    old = json.dumps({"task": LINK, "id": str(uuid4()), "args": 5, "kwargs": {}, "errbacks": [ERRBACK]}).encode()
    with_errback: dict[str, tuple[bytes, dict[str, Any], str]] = {
        str(uuid4()): (broken, {}, "InvalidTaskError"),
        str(uuid4()): (GOOD, {"timelimit": 5}, "InvalidTaskError"),
        str(uuid4()): (GOOD, {"eta": "tomorrow"}, "InvalidTaskError"),
        str(uuid4()): (GOOD, {"periodic_task_name": "x" * 256}, "InvalidTaskError"),
        str(uuid4()): (GOOD, {"task": "linking.link_program_enrolments"}, "NotRegistered"),
        str(uuid4()): (GOOD, {"task": "x" * 256}, "NotRegistered"),
        json.loads(old)["id"]: (old, {}, "InvalidTaskError"),
    }
    without = {
        str(uuid4()): (b"{", "application/json", "InvalidTaskError"),
        str(uuid4()): (pickle.dumps([ARGS, {}, EMBEDDED]), "application/x-python-serialize", "ContentDisallowed"),
        str(uuid4()): (GOOD, "text/unknown", "ContentDisallowed"),
    }

    for task_id, (body, headers, _) in with_errback.items():
        sender.send(body, {} if body is old else {"lang": "py", "task": LINK, "id": task_id, **headers})
    for task_id, (body, content_type, _) in without.items():
        sender.send(body, {"lang": "py", "task": LINK, "id": task_id}, content_type)

    for task_id, (*_, kind) in (with_errback | without).items():
        assert end_of(task_id)[:2] == ("FAILURE", kind)
    service.broker.wait_until_quiet()
    assert sorted(service.broker.calls(FAILURES)) == sorted([task_id] for task_id in with_errback)


@pytest.mark.parametrize("task", [LINK, "linking.link_learners", "nobody.knows"])
def test_an_id_that_cannot_be_stored_fails_by_error_callback_only(service: Service, sender: Sender, task: str) -> None:
    ids = ["x" * 256, "", "a\0b", "\ud800"]

    for task_id in ids:
        sender.send(GOOD, {"lang": "py", "task": task, "id": task_id})

    assert result_of(service.link({})) == {}
    service.broker.wait_until_quiet()
    called = [] if task == "linking.link_learners" else [[task_id] for task_id in ids]
    assert sorted(service.broker.calls(FAILURES)) == sorted(called)
    assert TaskResult.objects.count() == 1


def test_headers_of_the_callers_are_not_stored(service: Service, sender: Sender) -> None:
    good, bad = str(uuid4()), str(uuid4())

    for task_id, args in ((good, ARGS), (bad, [])):
        sender.send(json.dumps([args, {}, EMBEDDED]).encode(), {"lang": "py", "task": LINK, "id": task_id, "meta": 5})

    assert result_of(good) == {}
    assert end_of(bad)[1] == "ValueError"
    assert set(json.loads(TaskResult.objects.get(task_id=good).meta)) == {"children"}
