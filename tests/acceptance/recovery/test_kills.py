"""kill -9 of a pool child, a worker, or the task that dispatches the job, at many places: the job still ends."""

import os
import signal
import time
from pathlib import Path

import pytest
from django_celery_results.models import TaskResult

from chaos.environment import Beat
from chaos.injection import Fault, executed_faults, inject_fault
from tests.acceptance.recovery.conftest import STALL_AFTER, StartWorker
from tests.support.sent_jobs import SentJob, send_job
from tests.support.service import LINK, Service
from tests.support.waiting import wait_until
from worker.models import JobSlice, LearnerOutcome, LinkingJob

SLICE, FINISH = "linking.link_learners", "linking.finish_job"


def assert_all_complete(caller: Service, jobs: list[SentJob]) -> None:
    """Assert that the jobs are complete, and still are when all messages were processed."""
    for job in jobs:
        job.assert_complete()
    caller.broker.wait_until_quiet()
    for job in jobs:
        job.assert_complete()


def test_the_task_that_dispatches_a_job_may_be_killed_at_any_line(
    start_worker: StartWorker, caller: Service, faults: Path
) -> None:
    """One job for each line; their messages are redelivered at once, without a beat."""
    lines = range(2, 80, 6)
    for line in lines:
        inject_fault(faults, LINK, Fault(line=line))
    jobs = [send_job(caller) for _ in lines]

    start_worker(concurrency=4)

    assert_all_complete(caller, jobs)
    assert len(executed_faults(faults)) >= 8


def test_a_killed_pool_child_costs_nothing(start_worker: StartWorker, caller: Service, faults: Path) -> None:
    """One job for each place where a child dies, without a beat."""
    steps = (
        (LINK, "_reply"),  # The job is not in the ledger.
        (LINK, "dispatch"),  # The job is in the ledger.
        (LINK, "note_dispatched"),  # All messages are sent.
        (SLICE, "_count_attempt"),
        (SLICE, "_write_outcomes"),  # Rows are written and not committed.
        (SLICE, "is_over"),  # They are committed.
        (FINISH, "finish"),
        (FINISH, "send_callbacks"),  # The callbacks are about to be called.
        (FINISH, "released_by"),  # The end is committed.
        (FINISH, "_store_result"),
    )
    for task, function in steps:
        inject_fault(faults, task, Fault(function=function))
    jobs = [send_job(caller) for _ in steps]

    start_worker(concurrency=4)

    assert_all_complete(caller, jobs)
    assert sorted(task for _, task in executed_faults(faults)) == sorted(task for task, _ in steps)


@pytest.mark.parametrize(
    ("task", "function"),
    [
        pytest.param(LINK, "dispatch", id="the job is in the ledger"),
        pytest.param(LINK, "note_dispatched", id="all messages are sent"),
        pytest.param(SLICE, "_write_outcomes", id="a slice has written its rows and not committed"),
        pytest.param(SLICE, "is_over", id="a slice has committed"),
        pytest.param(FINISH, "send_callbacks", id="the callbacks are about to be called"),
        pytest.param(FINISH, "released_by", id="the end is committed and the result not stored"),
    ],
)
def test_after_a_killed_worker_recovery_is_faster_than_redelivery(
    start_worker: StartWorker, beat: Beat, caller: Service, faults: Path, *, task: str, function: str
) -> None:
    """The broker redelivers after 90 seconds; recovery reads the ledger earlier."""
    worker = start_worker()
    inject_fault(faults, task, Fault(function=function, action="kill_worker"))
    job = send_job(caller)
    wait_until(lambda: bool(executed_faults(faults)), "the worker is killed")
    wait_until(lambda: not worker.is_running, "the worker is gone")

    worker.start()
    began = time.monotonic()

    job.assert_complete()
    assert time.monotonic() - began < 10 * STALL_AFTER
    assert beat.is_running


def test_the_broker_redelivers_a_request_whose_worker_was_killed_before_it_wrote_the_job(
    start_worker: StartWorker, caller: Service, faults: Path
) -> None:
    soon = {"CHAOS_VISIBILITY_TIMEOUT": "3"}
    worker = start_worker(env=soon)
    inject_fault(faults, LINK, Fault(function="_reply", action="kill_worker"))
    job = send_job(caller)
    wait_until(lambda: not worker.is_running, "the worker is gone")
    assert not LinkingJob.objects.exists()

    worker.start()

    job.assert_complete()


def test_a_worker_that_continues_after_its_leases_expired_does_nothing_twice(
    start_worker: StartWorker, beat: Beat, caller: Service
) -> None:
    frozen = start_worker()
    job = send_job(caller, 400, learners_per_subtask=2)
    wait_until(JobSlice.objects.exclude(finished=None).exists, "the job is under way")
    os.killpg(frozen.pid, signal.SIGSTOP)
    try:
        start_worker()
        job.assert_complete()
    finally:
        os.killpg(frozen.pid, signal.SIGCONT)
    caller.broker.wait_until_quiet()

    job.assert_complete()
    assert set(LearnerOutcome.objects.values_list("attempts", flat=True)) == {1}
    assert beat.is_running


def test_a_chord_with_a_part_that_exceeded_the_time_limit_still_succeeds(
    start_worker: StartWorker, caller: Service, faults: Path, worker_env: dict[str, str]
) -> None:
    start_worker(modules=("tests.support.slice_time_limit",))
    inject_fault(faults, SLICE, Fault(function="_write_outcomes", action="hang"))

    job = send_job(caller)

    failed = TaskResult.objects.filter(task_name=SLICE, status="FAILURE")
    wait_until(failed.exists, "a part of the chord fails")
    caller.broker.wait_until_quiet()
    assert not TaskResult.objects.filter(task_id=job.task_id, status="FAILURE").exists()
    with Beat(worker_env):
        job.assert_complete()
    assert executed_faults(faults)
