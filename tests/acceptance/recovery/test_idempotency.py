"""An idempotency key identifies one job, however many calls use it."""

from uuid import UUID

from django_celery_results.models import TaskResult

from tests.acceptance.recovery.conftest import StartWorker
from tests.support.locks import TakeLock
from tests.support.populations import add_learners
from tests.support.sent_jobs import wait_until_dispatched
from tests.support.service import Service, failure_of, result_of
from tests.support.waiting import wait_until
from worker.models import LearnerOutcome, LinkingJob

KEY = "nightly"


def test_a_second_call_waits_for_the_first_job_and_gets_its_result_and_runs_nothing(
    start_worker: StartWorker, caller: Service, row_lock: TakeLock
) -> None:
    start_worker()
    mapping = add_learners(3) | {"s-9": "nobody"}
    held = row_lock("s-0")
    first = caller.link(mapping, idempotency_key=KEY)
    wait_until_dispatched()

    second = caller.link(mapping, idempotency_key=KEY)
    wait_until_retried(second)
    assert result_of(caller.link({"s-8": "eve"})).keys() == {"s-8"}  # The second call blocks no pool child.
    held.release()

    errors = {"s-9": "No user found with username nobody"}
    assert result_of(first) == result_of(second) == errors
    third = caller.link(mapping, idempotency_key=KEY)
    assert result_of(third) == errors
    caller.broker.wait_until_quiet()
    assert caller.answers().count(errors) == 3
    assert LinkingJob.objects.get(idempotency_key=KEY).pk == UUID(first)
    assert LinkingJob.objects.count() == 2
    assert set(LearnerOutcome.objects.values_list("attempts", flat=True)) == {1}


def test_a_second_call_waits_for_a_cancelled_job(
    start_worker: StartWorker, caller: Service, row_lock: TakeLock
) -> None:
    start_worker(concurrency=2)
    mapping = add_learners(5)
    held = row_lock("s-0")
    first = caller.link(mapping, idempotency_key=KEY, learners_per_subtask=5)
    held.wait_for_blocked(1)
    LinkingJob.objects.update(state=LinkingJob.State.CANCELLED)  # The first step of a cancellation.

    second = caller.link(mapping, idempotency_key=KEY, learners_per_subtask=5)
    wait_until_retried(second)
    held.release()

    assert result_of(first) == result_of(second)


def test_a_second_call_fails_as_the_first_has_failed(start_worker: StartWorker, caller: Service) -> None:
    start_worker()
    mapping = add_learners(3)
    first = caller.link(mapping, idempotency_key=KEY)
    assert result_of(first) == {}
    LinkingJob.objects.update(state=LinkingJob.State.FAILED, message="no progress")

    assert failure_of(caller.link(mapping, idempotency_key=KEY)) == ("JobFailedError", "no progress")


def wait_until_retried(task_id: str) -> None:
    retried = TaskResult.objects.filter(task_id=task_id, status="RETRY")
    wait_until(retried.exists, "the second call waits for the first")
