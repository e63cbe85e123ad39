"""Keys and usernames stay in the message and in the ledger: no event, log, inspection or other result names them."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

from celery import Celery
from django.apps import apps
from django.core.serializers import serialize
from django_celery_results.models import GroupResult, TaskResult

from tests.acceptance.broker import Broker, Lock, arguments, task_of, wait_until
from tests.acceptance.service import LINK, Service, failure_of, result_of
from tests.rows import (
    ALGEBRA,
    OTHER_CURRICULUM,
    PROGRAM,
    make_course,
    make_course_run,
    make_enrollment,
    make_place,
    make_role,
    make_user,
)
from worker.embedded import WorkerProcess
from worker.models import LinkingJob

SECRET = "zq7"
"""What every key and username of these tests begins with, and nothing else holds."""


def learners() -> dict[str, str]:
    """Write learners for every kind of outcome, warning and log record; return the mapping that links them."""
    make_course(ALGEBRA)
    users = {name: make_user(f"{SECRET}-{name}") for name in ("ada", "bob", "eve", "joe", "kim")}
    make_course_run(make_place(f"{SECRET}-waiting"), ALGEBRA, roles=("staff", "wizard"))
    make_role(users["bob"])
    make_course_run(make_place(f"{SECRET}-relinked", users["bob"]), ALGEBRA, make_enrollment(users["bob"]))
    make_place(f"{SECRET}-already", users["eve"])
    make_place(f"{SECRET}-outside", users["joe"], curriculum_uuid=OTHER_CURRICULUM)
    make_place(f"{SECRET}-conflict", curriculum_uuid=OTHER_CURRICULUM)
    make_course_run(make_place(f"{SECRET}-course"), "course-v1:Org+Missing+1")  # type: ignore[arg-type] # stored as text
    return {
        f"{SECRET}-waiting": f"{SECRET}-ada",
        f"{SECRET}-relinked": f"{SECRET}-kim",
        f"{SECRET}-already": f"{SECRET}-eve",
        f"{SECRET}-conflict": f"{SECRET}-joe",
        f"{SECRET}-course": f"{SECRET}-bob",
        f"{SECRET}-missing": f"{SECRET}-ada",
        f"{SECRET}-nobody": f"{SECRET}-nobody",
    }


@contextmanager
def captured_events(url: str) -> Iterator[list[dict[str, Any]]]:
    """Collect the events that Flower would get."""
    app = Celery(broker=url, set_as_current=False)
    app.conf.update(broker_read_url=url, broker_write_url=url)
    events: list[dict[str, Any]] = []
    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": events.append})
        thread = Thread(target=receiver.capture, kwargs={"wakeup": True})
        thread.start()
        try:
            yield events
        finally:
            receiver.should_stop = True
            thread.join()
    app.close()


def assert_silent(what: str, text: str) -> None:
    """Assert that ``text`` names no learner."""
    at = text.casefold().find(SECRET)
    assert at < 0, f"{what} names a learner: …{text[max(at - 200, 0) : at + 100]}…"


def stored(task_id: str) -> str:
    """Return everything that is kept with results, but for the result of the caller's own task."""
    rows = list(TaskResult.objects.all())
    for row in rows:
        if row.task_id == task_id:
            row.result = ""
    counters = apps.get_model("django_celery_results", "ChordCounter").objects.all()
    return str(serialize("json", [*rows, *GroupResult.objects.all(), *counters]))


def test_a_job_names_no_learner_in_events_logs_or_stored_results(
    service: Service, celery_worker_process: WorkerProcess, worker_env: dict[str, str]
) -> None:
    before = len(celery_worker_process.log.read_text())
    with captured_events(worker_env["CELERY_BROKER_URL"]) as events:
        wait_until(lambda: bool(events), "the worker sends events")
        task_id = service.link(learners())
        assert len(result_of(task_id)) == 5
        wait_until(
            lambda: (
                {"task-received", "task-started", "task-succeeded"}
                <= {event["type"] for event in events if event.get("uuid") == task_id}
            ),
            "the events of the caller's task arrive",
        )
        service.broker.wait_until_quiet()
    log = celery_worker_process.log.read_text()[before:]

    counts = {"linked": 1, "relinked": 1, "already_linked": 1, "no_user": 1, "no_enrollment": 1}
    assert LinkingJob.objects.get().counts == counts | {"course_error": 1, "conflict": 1}
    assert task_id in log
    assert_silent("the log", log)
    assert_silent("an event", json.dumps(events))
    assert TaskResult.objects.count() == 6
    assert_silent("a stored result", stored(task_id))


def test_failures_and_repeated_calls_name_no_learner_either(
    service: Service, celery_worker_process: WorkerProcess, worker_env: dict[str, str]
) -> None:
    before = len(celery_worker_process.log.read_text())
    mapping = learners()
    with captured_events(worker_env["CELERY_BROKER_URL"]) as events:
        wait_until(lambda: bool(events), "the worker sends events")
        failing = [
            service.send(LINK, "nonsense", mapping),
            service.send(LINK, mapping, str(PROGRAM)),
            service.send(LINK, str(PROGRAM), mapping | {f"{SECRET}-none": None}),
            service.send(LINK, str(PROGRAM), kwargs=mapping),
            service.link(mapping, max_relinks=0),
        ]
        for task_id in failing:
            failure_of(task_id)
        failed = {event["uuid"] for event in events if event["type"] == "task-failed"}
        assert failed <= set(failing)
        first = service.link(mapping, idempotency_key="nightly")
        errors = result_of(first)
        again = service.link(mapping, idempotency_key="nightly")
        assert result_of(again) == errors
        service.broker.wait_until_quiet()
    TaskResult.objects.filter(task_id=again).update(result="")

    assert_silent("the log", celery_worker_process.log.read_text()[before:])
    assert_silent("an event", json.dumps(events))
    assert_silent("a stored result", stored(first))


def test_a_misspelled_task_names_no_learner_in_the_log(service: Service, celery_worker_process: WorkerProcess) -> None:
    before = len(celery_worker_process.log.read_text())

    task_id = service.send("linking.link_program_enrolments", str(PROGRAM), learners())

    failure_of(task_id)
    log = celery_worker_process.log.read_text()[before:]
    assert "linking.link_program_enrolments" in log
    assert_silent("the log", log)


def test_subtasks_and_inspections_name_no_learner(
    service: Service, celery_worker_process: WorkerProcess, worker_env: dict[str, str], lock: Callable[[str], Lock]
) -> None:
    jobs = lock("LOCK TABLE worker_linkingjob IN EXCLUSIVE MODE")
    mapping = learners()
    task_id = service.link(mapping)
    later = service.send(LINK, str(PROGRAM), mapping, countdown=1000)
    jobs.wait_for_waiting(1)

    with Celery(broker=worker_env["CELERY_BROKER_URL"], set_as_current=False) as app:
        app.conf.update(broker_read_url=worker_env["CELERY_BROKER_URL"])
        inspect = app.control.inspect(destination=[celery_worker_process.hostname], timeout=5)
        wait_until(lambda: later in json.dumps(inspect.scheduled()), "the later task is scheduled")
        inspections = [inspect.active(), inspect.reserved(), inspect.scheduled(), inspect.query_task(task_id, later)]
    assert task_id in json.dumps(inspections)
    assert_silent("an inspection", json.dumps(inspections))

    place = lock("SELECT * FROM program_enrollments_programenrollment FOR UPDATE")
    jobs.release()
    subtasks = wait_for_subtasks(service.broker, 5)
    place.release()
    assert_silent("a subtask", json.dumps(subtasks))
    result_of(task_id)


def wait_for_subtasks(broker: Broker, count: int) -> list[dict[str, Any]]:
    """Wait until ``count`` subtasks are queued or in hand; return their messages, decoded."""

    def subtasks() -> list[dict[str, Any]]:
        messages = broker.queued() + broker.in_hand()
        return [message for message in messages if task_of(message) == "linking.link_learners"]

    wait_until(lambda: len(subtasks()) == count, f"{count} subtasks are sent")
    return [message | {"body": [arguments(message), broker.embedded(message)]} for message in subtasks()]


def test_where_it_is_switched_on_the_log_names_learners(
    service_apart: Service, start_worker: Callable[..., WorkerProcess], apart: dict[str, str]
) -> None:
    worker = start_worker(apart | {"LINKING_LOG_LEARNERS": "1"}, concurrency=1)

    result_of(service_apart.link(learners(), learners_per_subtask=10))

    assert f"WARNING linking.learners No user found with username {SECRET}-nobody" in worker.log.read_text()
