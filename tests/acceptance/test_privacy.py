"""Keys and usernames stay in the message and in the ledger; of jobs that succeed, see ``test_flower.py``."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery
from celery.states import READY_STATES
from django.core.serializers import serialize
from django_celery_results.models import TaskResult

from devservers import WorkerProcess
from linking.models import ProgramEnrollment
from tests.support.broker import Broker, arguments, task_of
from tests.support.ids import PROGRAM
from tests.support.locks import TakeLock
from tests.support.secrecy import SECRET, assert_silent, captured_events, learners, stored
from tests.support.service import LINK, Service, failure_of, result_of
from tests.support.triggers import failing_writes
from tests.support.waiting import wait_until


def test_failures_and_repeated_calls_name_no_learner(
    service: Service, celery_worker_process: WorkerProcess, worker_env: dict[str, str]
) -> None:
    before = len(celery_worker_process.log.read_text())
    mapping = learners()
    with captured_events(worker_env["CELERY_BROKER_URL"]) as events:
        failing = [
            service.send(LINK, "nonsense", mapping),
            service.send(LINK, mapping, str(PROGRAM)),
            service.send(LINK, str(PROGRAM), mapping | {f"{SECRET}-none": None}),
            service.send(LINK, str(PROGRAM), kwargs=mapping),
            service.link(mapping, max_relinks=0),
        ]
        for task_id in failing:
            failure_of(task_id)

        def failed() -> set[str]:
            return {event["uuid"] for event in events if event["type"] == "task-failed"}

        misspelled = service.send("linking.link_program_enrolments", str(PROGRAM), mapping)
        failure_of(misspelled)
        wait_until(lambda: bool(failed()), "failures are events")
        assert failed() <= {*failing, misspelled}
        first = service.link(mapping, idempotency_key="nightly")
        errors = result_of(first)
        again = service.link(mapping, idempotency_key="nightly")
        assert result_of(again) == errors
        ProgramEnrollment.objects.exclude(user=None).update(user=None)
        left = service.send("linking.undo_job", first)
        assert {message.partition(":")[0] for message in result_of(left).values()} == {"not undone, changed since"}
        service.broker.wait_until_quiet()
    TaskResult.objects.filter(task_id__in=[again, left]).update(result="")

    log = celery_worker_process.log.read_text()[before:]
    assert "linking.link_program_enrolments" in log
    assert_silent("the log", log)
    assert_silent("an event", json.dumps(events))
    assert_silent("a stored result", stored(first))


@pytest.mark.parametrize("error", ["query_canceled", "check_violation", "lock_not_available"])
def test_errors_of_the_database_that_quote_rows_are_shown_nowhere(
    service: Service, celery_worker_process: WorkerProcess, worker_env: dict[str, str], error: str
) -> None:
    before = len(celery_worker_process.log.read_text())
    quoted = {"text": f"refused by a trigger: {SECRET}-ada", "error": error}
    with (
        captured_events(worker_env["CELERY_BROKER_URL"]) as events,
        failing_writes("worker_learneroutcome", "external_user_key", f"{SECRET}-waiting", **quoted),
    ):
        task_id = service.link(learners())
        wait_until(TaskResult.objects.filter(task_id=task_id).exists, "the request failed or is retried")
        result = serialize("json", TaskResult.objects.filter(task_id=task_id))
        failed = {"task-retried", "task-failed"}
        wait_until(lambda: any(event["type"] in failed for event in events), "there is an event")

    ended = TaskResult.objects.filter(task_id=task_id, status__in=READY_STATES)
    wait_until(ended.exists, "the request has ended, and does not disturb the next test")
    log = celery_worker_process.log.read_text()[before:]
    assert "DatabaseFailureError" in log
    assert_silent("the log", log)
    assert_silent("an event", json.dumps(events))
    assert_silent("a stored result", result)


def test_subtasks_and_inspections_name_no_learner(
    service: Service, celery_worker_process: WorkerProcess, worker_env: dict[str, str], lock: TakeLock
) -> None:
    jobs = lock("LOCK TABLE worker_linkingjob IN EXCLUSIVE MODE")
    mapping = learners()
    task_id = service.link(mapping)
    later = service.send(LINK, str(PROGRAM), mapping, countdown=1000)
    jobs.wait_for_blocked(1)

    with Celery(broker=worker_env["CELERY_BROKER_URL"], set_as_current=False) as app:
        app.conf.update(broker_read_url=worker_env["CELERY_BROKER_URL"], control_exchange="linking")
        inspect = app.control.inspect(destination=[celery_worker_process.hostname], timeout=5)
        wait_until(lambda: later in json.dumps(inspect.scheduled()), "the later task is scheduled")
        inspections = [inspect.active(), inspect.reserved(), inspect.scheduled(), inspect.query_task(task_id, later)]
    assert task_id in json.dumps(inspections)
    assert_silent("an inspection", json.dumps(inspections))

    enrollment = lock("SELECT * FROM program_enrollments_programenrollment FOR UPDATE")
    jobs.release()
    subtasks = wait_for_subtasks(service.broker, 5)
    enrollment.release()
    assert_silent("a subtask", json.dumps(subtasks))
    result_of(task_id)


def test_a_request_that_waits_is_sent_again_without_learners_in_its_headers(service: Service, lock: TakeLock) -> None:
    mapping, options = learners(), {"idempotency_key": "nightly", "learners_per_subtask": 100}
    held = lock("SELECT * FROM program_enrollments_programenrollment FOR UPDATE")
    first = service.send(LINK, str(PROGRAM), mapping, kwargs=options)
    held.wait_for_blocked(1)
    second = service.send(LINK, str(PROGRAM), mapping, kwargs=options)

    def waiting() -> list[dict[str, Any]]:
        messages = service.broker.queued() + service.broker.unacknowledged()
        return [message["headers"] for message in messages if message["headers"]["retries"]]

    wait_until(lambda: any(headers["id"] == second for headers in waiting()), "the second request is sent again")
    assert_silent("a header", json.dumps(waiting()))
    held.release()
    assert result_of(second) == result_of(first)


def wait_for_subtasks(broker: Broker, count: int) -> list[dict[str, Any]]:
    """Wait until ``count`` subtasks are queued or running; return their decoded messages."""

    def subtasks() -> list[dict[str, Any]]:
        messages = broker.queued() + broker.unacknowledged()
        return [message for message in messages if task_of(message) == "linking.link_learners"]

    wait_until(lambda: len(subtasks()) == count, f"{count} subtasks are sent")
    return [message | {"body": [arguments(message), broker.embedded(message)]} for message in subtasks()]


def test_the_log_names_learners_where_it_is_switched_on(
    isolated_service: Service, start_worker: Callable[..., WorkerProcess], isolated_env: dict[str, str]
) -> None:
    worker = start_worker(isolated_env | {"LINKING_LOG_LEARNERS": "1"}, concurrency=1)

    result_of(isolated_service.link(learners(), learners_per_subtask=10))

    assert f"WARNING linking.learners No user found with username {SECRET}-nobody" in worker.log.read_text()
