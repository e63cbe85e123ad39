"""The same message twice, at once and one after the other: one effect, one callback, the same result."""

from typing import Any

import pytest
from django_celery_results.models import TaskResult

from linking.models import ProgramEnrollment
from tests.support.broker import Message, task_of
from tests.support.ids import PROGRAM
from tests.support.locks import Lock, TakeLock
from tests.support.populations import add_learners
from tests.support.rows import enroll, make_user
from tests.support.sent_jobs import wait_until_dispatched
from tests.support.service import FAILURES, LINK, Service, ended, open_chords, result_of
from tests.support.waiting import wait_until
from tests.support.worlds import snapshot
from worker.models import JobSlice, LearnerOutcome, LinkingJob

TASK_ID = "5f0d0c5e-3c8e-4b57-9c8e-0e6f6f1d2a3b"
ERRORS = {"s-9": "No user found with username nobody"}
JOBS = "LOCK TABLE worker_linkingjob IN EXCLUSIVE MODE"


@pytest.fixture
def mapping(service: Service) -> dict[str, str]:
    return add_learners(2) | {"s-9": "nobody"}


def everything() -> tuple[Any, ...]:
    """Return all rows that a second delivery could change."""
    return (
        snapshot(),
        list(LinkingJob.objects.values()),
        list(LearnerOutcome.objects.order_by("position").values()),
        list(TaskResult.objects.order_by("task_id").values_list("task_id", "task_name", "status", "result")),
    )


def assert_done_once(service: Service) -> None:
    """Assert that the job succeeded, with the effects of one delivery of each message."""
    assert result_of(TASK_ID) == ERRORS
    service.broker.wait_until_quiet()
    assert result_of(TASK_ID) == ERRORS
    assert service.answers() == [ERRORS]
    assert service.broker.calls("failures") == []
    job = LinkingJob.objects.get()
    assert (job.state, job.counts) == ("done", {"linked": 2, "no_user": 1})
    assert set(LearnerOutcome.objects.values_list("attempts", flat=True)) == {1}
    assert ProgramEnrollment.objects.filter(user=None).count() == 0
    assert open_chords() == 0


def test_the_callers_message_once_more_after_the_end_changes_nothing(service: Service, mapping: dict[str, str]) -> None:
    service.link(mapping, TASK_ID)
    assert_done_once(service)
    before = everything()

    service.link(mapping, TASK_ID)
    service.broker.wait_until_quiet()

    assert everything() == before
    assert_done_once(service)


def test_the_callers_message_twice_at_once_is_a_job(service: Service, mapping: dict[str, str], lock: TakeLock) -> None:
    lock_of_jobs = lock(JOBS)
    for _ in range(2):
        service.link(mapping, TASK_ID)
    lock_of_jobs.wait_for_blocked(2)
    lock_of_jobs.release()

    assert_done_once(service)


@pytest.mark.parametrize("is_noted", [True, False])
def test_the_callers_message_again_while_its_learners_are_linked_is_one_job(
    service: Service, mapping: dict[str, str], row_lock: TakeLock, *, is_noted: bool
) -> None:
    held = row_lock("s-0")
    service.link(mapping, TASK_ID)
    wait_until_dispatched()
    if not is_noted:
        LinkingJob.objects.update(dispatched=None)  # As if the worker had died before it noted the dispatch.
    service.link(mapping, TASK_ID)
    wait_until(lambda: not service.broker.queued(), "the second message is delivered")
    wait_until_dispatched()
    held.release()

    assert_done_once(service)


@pytest.mark.parametrize("redelivered", [False, True])
def test_a_subtask_twice_counts_once(
    service: Service, mapping: dict[str, str], row_lock: TakeLock, redelivered: bool
) -> None:
    """The second delivery runs while the first does, and the job's last subtask waits behind both."""
    first, second = row_lock("s-0"), row_lock("s-1")
    service.link(mapping, TASK_ID)
    first.wait_for_blocked(2)
    message = next(message for message in service.broker.unacknowledged() if slice_number(message) == 0)
    service.broker.publish(message, redelivered=redelivered)
    second.release()
    wait_until(JobSlice.objects.filter(number=1).exclude(finished=None).exists, "the second subtask is done")
    first.wait_for_blocked(2)  # Both deliveries of the first.
    first.release()

    assert_done_once(service)


def slice_number(message: Message) -> int:
    return int(message["headers"]["group_index"])


@pytest.mark.parametrize("task", ["linking.link_learners", "linking.finish_job"])
@pytest.mark.parametrize("redelivered", [False, True])
def test_a_message_once_more_after_the_end_changes_nothing(
    service: Service, finish_message: tuple[Message, Message, Lock], task: str, redelivered: bool
) -> None:
    *messages, job = finish_message
    job.release()
    assert_done_once(service)
    before = everything()

    for message in messages:
        if task_of(message) == task:
            service.broker.publish(message, redelivered=redelivered)
    service.broker.wait_until_quiet()

    assert everything() == before
    assert_done_once(service)


@pytest.fixture
def finish_message(
    service: Service, mapping: dict[str, str], lock: TakeLock, row_lock: TakeLock
) -> tuple[Message, Message, Lock]:
    """Messages for a slice and for ``linking.finish_job``, which runs, and the lock that blocks it."""
    held = row_lock("s-0")
    service.link(mapping, TASK_ID)
    others = JobSlice.objects.exclude(finished=None)
    only_slice = ["linking.link_learners"]
    wait_until(
        lambda: others.count() == 2 and [task_of(one) for one in service.broker.unacknowledged()] == only_slice,
        "nothing runs but the first slice",
    )
    job = lock(f"SELECT * FROM worker_linkingjob WHERE id = '{TASK_ID}' FOR UPDATE")  # noqa: S608
    slice_message = service.broker.wait_for_delivery("linking.link_learners")
    held.release()
    message = service.broker.wait_for_delivery("linking.finish_job")
    job.wait_for_blocked(1)
    return slice_message, message, job


@pytest.mark.parametrize("redelivered", [False, True])
def test_the_end_of_a_job_twice_at_once_sends_one_result(
    service: Service, finish_message: tuple[Message, Message, Lock], redelivered: bool
) -> None:
    _, message, job = finish_message
    service.broker.publish(message, redelivered=redelivered)
    job.wait_for_blocked(2)
    job.release()

    assert_done_once(service)


@pytest.mark.parametrize("max_relinks", [None, 0], ids=["of a job that is done", "of a job that was refused"])
def test_a_used_id_with_a_new_key_fails_for_its_sender_and_leaves_the_result(
    service: Service, max_relinks: int | None
) -> None:
    mapping = {"s-0": "u-new"}
    enroll("s-0", make_user("u-old"))
    make_user("u-new")
    task_id = service.send(LINK, str(PROGRAM), mapping, kwargs={"max_relinks": max_relinks})
    before = ended(task_id).result

    service.link(mapping, task_id=task_id, max_relinks=max_relinks, idempotency_key="spring")

    wait_until(lambda: service.broker.calls(FAILURES) == [[task_id]], "the sender is notified")
    service.broker.wait_until_quiet()
    assert ended(task_id).result == before
    assert service.answers() == []


def test_the_end_of_a_job_of_one_slice_needs_no_message_and_a_redelivered_slice_runs_it_once(
    service: Service, mapping: dict[str, str], lock: TakeLock, row_lock: TakeLock
) -> None:
    held = row_lock("s-0")
    # Without error callbacks: an end that has any is sent.
    service.send(LINK, str(PROGRAM), {"s-0": mapping["s-0"]}, task_id=TASK_ID)
    held.wait_for_blocked(1)
    job = lock(f"SELECT * FROM worker_linkingjob WHERE id = '{TASK_ID}' FOR UPDATE")  # noqa: S608
    held.release()
    job.wait_for_blocked(1)  # The end.
    (message,) = service.broker.unacknowledged()
    assert task_of(message) == "linking.link_learners"

    service.broker.publish(message, redelivered=True)
    job.wait_for_blocked(2)
    job.release()

    assert ended(TASK_ID).task_name == "linking.finish_job"
    service.broker.wait_until_quiet()
    assert LearnerOutcome.objects.get().attempts == 1
