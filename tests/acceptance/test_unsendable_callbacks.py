"""A callback that cannot be sent is its sender's fault: the job ends, its result is stored, its successors run."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

import pytest
from django_celery_results.models import ChordCounter  # type: ignore[attr-defined] # not in celery-types

from devservers import WorkerProcess
from tests.support.broker import arguments
from tests.support.ids import PROGRAM
from tests.support.locks import TakeLock
from tests.support.populations import add_learners
from tests.support.secrecy import SECRET, assert_silent, learners
from tests.support.sent_jobs import wait_until_finished
from tests.support.service import ANSWERS, FAILURES, LINK, NEXT, Service, failure_of, open_chords, result_of
from tests.support.waiting import wait_until
from worker import jobs
from worker.dispatch import send_end
from worker.models import LinkingJob

Signature = dict[str, Any]


def callback(queue: object = ANSWERS, /, *, without: str | None = None, **changes: Any) -> Signature:
    """Return the signature of a callback as JSON, with changes and options."""
    fields = {name: changes.pop(name) for name in ("args", "kwargs", "options", "subtask_type") if name in changes}
    plain: Signature = {"task": "service.receive", "args": [], "kwargs": {}, "subtask_type": None, "immutable": False}
    signature = plain | {"options": {"queue": queue} | changes} | fields
    return {name: value for name, value in signature.items() if name != without}


UNSENDABLE: Mapping[str, Signature] = {
    "a countdown that is a text": callback(countdown="soon"),
    "a queue that is a number": callback(5),
    "a queue that the broker refuses": callback("linking.unacked"),  # In Redis a hash of our transport.
    "an option that is no message": callback(delivery_mode={}, expires=[]),
    "an unknown compression": callback(compression="none of these"),
    "a connection of the sender's": callback(connection=5),
    "a link that is a number": callback(producer=5),
    "no args": callback(without="args"),
    "no options": callback(without="options"),
    "args that are a number": callback(args=5),
    "options that are a list": callback(options=["queue"]),
    "a group without tasks": callback(subtask_type="group"),
    "a chord without a body": callback(subtask_type="chord", kwargs={"header": []}),
    "a kind that nobody knows": callback(subtask_type="none of these"),
    "no args and no kwargs": {"task": "service.receive"},
    "stamps that are missing": callback(stamped_headers=["missing"]),
}


@pytest.fixture
def mapping(service: Service) -> dict[str, str]:
    assert service
    return add_learners(2)


def test_a_callback_that_cannot_be_sent_harms_neither_its_job_nor_others(
    service: Service, mapping: dict[str, str], celery_worker_process: WorkerProcess
) -> None:
    sent = {
        name: service.send(LINK, str(PROGRAM), mapping, link=[callback(), signature, callback(NEXT)])
        for name, signature in UNSENDABLE.items()
    }

    for name, task_id in sent.items():
        assert set(result_of(task_id)) <= set(mapping), name
        job = wait_until_finished(task_id)
        assert (job.state, job.resumes) == ("done", 0), name
        assert job.message.startswith("callback 2 of 3 cannot be sent ("), f"{name}: {job.message}"
    service.broker.wait_until_quiet()
    assert len(service.broker.calls(ANSWERS)) == len(service.broker.calls(NEXT)) == len(UNSENDABLE)


def test_a_job_behind_one_with_an_unsendable_callback_runs(
    service: Service, mapping: dict[str, str], lock: TakeLock
) -> None:
    held = lock("SELECT * FROM program_enrollments_programenrollment FOR UPDATE")
    first = service.send(LINK, str(PROGRAM), mapping, link=[callback(countdown="soon")])
    held.wait_for_blocked(2)
    second = service.send(LINK, str(PROGRAM), mapping, link=[callback()])
    held.release()

    assert result_of(first) == {}
    assert set(result_of(second)) == set(mapping)
    assert wait_until_finished(second).message == ""


def test_a_job_with_an_unsendable_callback_is_ended_by_cancelling(
    service: Service, mapping: dict[str, str], lock: TakeLock
) -> None:
    held = lock("SELECT * FROM program_enrollments_programenrollment FOR UPDATE")
    first = service.send(LINK, str(PROGRAM), mapping, kwargs={"learners_per_subtask": 2})
    held.wait_for_blocked(1)
    second = service.send(LINK, str(PROGRAM), mapping, link=[callback(5)])
    wait_until(LinkingJob.objects.filter(pk=second).exists, "the second job is in the ledger")

    send_end(jobs.cancel(UUID(second)))
    held.release()

    assert result_of(first) == {}
    assert set(result_of(second)) == set(mapping)
    assert wait_until_finished(second).message.startswith("cancelled; callback 1 of 1 cannot be sent (")


@pytest.mark.parametrize("serializer", ["pickle", "yaml", "none of these"])
def test_a_callback_is_json_and_shows_no_learner_whatever_it_asks_for(
    service: Service, mapping: dict[str, str], celery_worker_process: WorkerProcess, serializer: str
) -> None:
    mapping |= learners()
    nested = callback(
        subtask_type="group", task="celery.group", kwargs={"tasks": [callback(serializer=serializer)]}, options={}
    )
    before = len(celery_worker_process.log.read_text())

    task_id = service.send(LINK, str(PROGRAM), mapping, link=[callback(serializer=serializer), nested])

    errors = result_of(task_id)
    assert wait_until_finished(task_id).message == ""
    service.broker.wait_until_quiet()
    messages = service.broker.queued(ANSWERS)
    assert [message["content-type"] for message in messages] == ["application/json"] * 2
    assert [arguments(message) for message in messages] == [[errors]] * 2
    assert SECRET in str(errors)
    assert_silent("a header", str([message["headers"] for message in messages]))
    assert_silent("the log", celery_worker_process.log.read_text()[before:])


@pytest.mark.parametrize("signature", UNSENDABLE.values(), ids=UNSENDABLE.keys())
def test_an_error_callback_that_cannot_be_sent_keeps_no_other_from_being_sent(
    service: Service, mapping: dict[str, str], signature: Signature
) -> None:
    errbacks = [callback(FAILURES), signature, callback(NEXT)]
    chain = [callback(without="args")]

    refused = service.send(LINK, "nonsense", mapping, link_error=errbacks, chain=chain)

    assert failure_of(refused)[0] == "ValueError"
    service.broker.wait_until_quiet()
    assert service.broker.calls(FAILURES) == service.broker.calls(NEXT) == [[refused]]


@pytest.mark.parametrize("chord", [callback(without="options"), callback(without="args"), {"task": "x"}])
def test_a_chord_that_cannot_be_sent_leaves_its_job_with_its_result(
    service: Service, mapping: dict[str, str], chord: Signature
) -> None:
    task_id = str(uuid4())
    ChordCounter.objects.create(group_id="a chord", count=1, sub_tasks=json.dumps([[[task_id, None], None]]))
    options: dict[str, Any] = {"chord": chord, "group_id": "a chord", "link_error": [callback(without="args")]}

    service.send(LINK, str(PROGRAM), mapping, task_id=task_id, link=[callback()], **options)

    assert result_of(task_id) == {}
    assert wait_until_finished(task_id).state == "done"
    service.broker.wait_until_quiet()
    assert service.answers() == [{}]
    assert open_chords() == 0


def test_the_next_task_of_a_chain_that_cannot_be_sent_is_noted(service: Service, mapping: dict[str, str]) -> None:
    chain = [callback(), callback(countdown="soon")]

    task_id = service.send(LINK, str(PROGRAM), mapping, link=[callback()], chain=chain)

    assert result_of(task_id) == {}
    note = "the next task of its chain cannot be sent (TypeError): its sender must correct it"
    assert wait_until_finished(task_id).message == note
    service.broker.wait_until_quiet()
    assert service.answers() == [{}]


def test_a_second_call_with_a_key_gets_its_result_in_spite_of_an_unsendable_callback(
    service: Service, mapping: dict[str, str]
) -> None:
    first = service.link(mapping, idempotency_key="spring")
    result_of(first)

    second = service.send(
        LINK, str(PROGRAM), mapping, link=[callback(5), callback(NEXT)], kwargs={"idempotency_key": "spring"}
    )

    assert result_of(second) == {}
    service.broker.wait_until_quiet()
    assert service.broker.calls(NEXT) == [[{}]]
