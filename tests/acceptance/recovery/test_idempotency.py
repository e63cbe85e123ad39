"""An idempotency key stands for one job, whoever asks and when."""

from collections.abc import Callable

from tests.acceptance.recovery.conftest import StartWorker
from tests.support.locks import RowLock
from tests.support.populations import add_learners
from tests.support.service import Service, failure_of, result_of
from tests.support.waiting import wait_until
from worker.models import LearnerOutcome, LinkingJob

KEY = "nightly"


def test_a_second_call_waits_for_the_first_job_and_gets_its_result_and_runs_nothing(
    hardy: StartWorker, caller: Service, row_lock: Callable[[str], RowLock]
) -> None:
    hardy()
    mapping = add_learners(3) | {"s-9": "nobody"}
    place = row_lock("s-0")
    first = caller.link(mapping, idempotency_key=KEY)
    wait_until(LinkingJob.objects.exclude(dispatched=None).exists, "the first job is under way")

    second = caller.link(mapping, idempotency_key=KEY)
    wait_until(lambda: "retry" in _states(second), "the second call has seen that it must wait")
    place.release()

    errors = {"s-9": "No user found with username nobody"}
    assert result_of(first) == result_of(second) == errors
    third = caller.link(mapping, idempotency_key=KEY)
    assert result_of(third) == errors
    caller.broker.wait_until_quiet()
    assert caller.answers() == [errors] * 3
    assert str(LinkingJob.objects.get().pk) == first
    assert set(LearnerOutcome.objects.values_list("attempts", flat=True)) == {1}


def test_a_second_call_waits_for_the_last_slice_of_a_cancelled_job(
    hardy: StartWorker, caller: Service, row_lock: Callable[[str], RowLock]
) -> None:
    hardy(concurrency=2)
    mapping = add_learners(5)
    place = row_lock("s-0")
    first = caller.link(mapping, idempotency_key=KEY, learners_per_subtask=5)
    place.wait_for_blocked(1)
    LinkingJob.objects.update(state=LinkingJob.State.CANCELLED)  # As whoever cancels it does before all else.

    second = caller.link(mapping, idempotency_key=KEY, learners_per_subtask=5)
    wait_until(lambda: "retry" in _states(second), "the second call has seen that it must wait")
    place.release()

    assert result_of(first) == result_of(second)


def test_a_second_call_fails_as_the_first_has_failed(hardy: StartWorker, caller: Service) -> None:
    hardy()
    mapping = add_learners(3)
    first = caller.link(mapping, idempotency_key=KEY)
    assert result_of(first) == {}
    LinkingJob.objects.update(state=LinkingJob.State.FAILED, message="no progress")

    assert failure_of(caller.link(mapping, idempotency_key=KEY)) == ("JobFailedError", "no progress")


def _states(task_id: str) -> set[str]:
    from django_celery_results.models import TaskResult  # noqa: PLC0415

    return {status.lower() for status in TaskResult.objects.filter(task_id=task_id).values_list("status", flat=True)}


def test_another_payload_under_the_same_key_is_refused_in_words(hardy: StartWorker, caller: Service) -> None:
    hardy()
    mapping = add_learners(3)
    first = caller.link(mapping, idempotency_key=KEY)
    assert result_of(first) == {}

    for other in (dict(list(mapping.items())[:2]), mapping | {"s-9": "nobody"}):
        name, text = failure_of(caller.link(other, idempotency_key=KEY))
        assert name == "IdempotencyConflictError"
        assert f"idempotency_key='{KEY}' belongs to job {first}" in text

    assert LinkingJob.objects.count() == 1
