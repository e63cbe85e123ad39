"""kill -9 of a pool child, of a whole worker, of the task that fans out, at many places: the job ends by itself."""

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django_celery_results.models import TaskResult

from chaos.injection import Fault, executed_faults, inject_fault
from tests.acceptance.recovery.conftest import STALL_AFTER, StartWorker
from tests.support.checks import ask
from tests.support.service import LINK, Service, ended
from tests.support.waiting import wait_until
from worker.models import JobSlice, LearnerOutcome, LinkingJob

if TYPE_CHECKING:
    from chaos.environment import Beat

SLICE, FINISH = "linking.link_learners", "linking.finish_job"


def test_the_task_that_fans_out_may_die_at_any_line(hardy: StartWorker, caller: Service, faults: Path) -> None:
    """One job for each line; their messages are delivered again at once: there is no beat here that could help."""
    lines = range(2, 80, 6)
    for line in lines:
        inject_fault(faults, LINK, Fault(line=line))
    jobs = [ask(caller) for _ in lines]

    hardy(concurrency=4)

    for job in jobs:
        job.assert_undisturbed()
    caller.broker.wait_until_quiet()
    for job in jobs:
        job.assert_undisturbed()
    assert len(executed_faults(faults)) >= 8


def test_a_killed_pool_child_costs_nothing(hardy: StartWorker, caller: Service, faults: Path) -> None:
    """One job for each place where a child dies; there is no beat here that could help."""
    places = (
        (LINK, "_reply"),  # The ledger does not know yet.
        (LINK, "start"),  # The ledger knows.
        (LINK, "note_dispatched"),  # All messages are sent.
        (SLICE, "_count_attempt"),
        (SLICE, "_write_outcomes"),  # Rows are written and not committed.
        (SLICE, "is_over"),  # They are committed.
        (FINISH, "finish"),
        (FINISH, "send_callbacks"),  # The callbacks are about to be called.
        (FINISH, "release"),  # The end is committed.
        (FINISH, "_store_result"),
    )
    for task, function in places:
        inject_fault(faults, task, Fault(function=function))
    jobs = [ask(caller) for _ in places]

    hardy(concurrency=4)

    for job in jobs:
        job.assert_undisturbed()
    caller.broker.wait_until_quiet()
    for job in jobs:
        job.assert_undisturbed()
    assert sorted(task for _, task in executed_faults(faults)) == sorted(task for task, _ in places)


@pytest.mark.parametrize(
    ("task", "function"),
    [
        pytest.param(LINK, "start", id="the ledger knows"),
        pytest.param(LINK, "note_dispatched", id="all messages are sent"),
        pytest.param(SLICE, "_write_outcomes", id="a slice has written its rows and not committed"),
        pytest.param(SLICE, "is_over", id="a slice has committed"),
        pytest.param(FINISH, "send_callbacks", id="the callbacks are about to be called"),
    ],
)
def test_after_a_killed_worker_nobody_waits_for_the_broker(
    hardy: StartWorker, beat: "Beat", caller: Service, faults: Path, *, task: str, function: str
) -> None:
    """What the worker had in hand stays there for 90 seconds; the ledger knows earlier."""
    worker = hardy()
    inject_fault(faults, task, Fault(function=function, action="kill_worker"))
    job = ask(caller)
    wait_until(lambda: bool(executed_faults(faults)), "the worker is killed")
    wait_until(lambda: not worker.is_running, "the worker is gone")

    worker.start()
    began = time.monotonic()

    job.assert_undisturbed()
    assert time.monotonic() - began < 10 * STALL_AFTER
    assert beat.is_running


def test_a_worker_that_dies_between_the_end_and_its_result_leaves_no_caller_waiting(
    hardy: StartWorker, beat: "Beat", caller: Service, faults: Path
) -> None:
    worker = hardy()
    inject_fault(faults, FINISH, Fault(function="release", action="kill_worker"))
    job = ask(caller)
    wait_until(lambda: not worker.is_running, "the worker is gone")

    worker.start()

    assert ended(job.task_id).status == "SUCCESS"
    assert beat.is_running


def test_a_request_whose_worker_died_before_the_ledger_knew_comes_back_from_the_broker(
    hardy: StartWorker, caller: Service, faults: Path
) -> None:
    soon = {"CHAOS_VISIBILITY_TIMEOUT": "3"}
    worker = hardy(env=soon)
    inject_fault(faults, LINK, Fault(function="_reply", action="kill_worker"))
    job = ask(caller)
    wait_until(lambda: not worker.is_running, "the worker is gone")
    assert not LinkingJob.objects.exists()

    worker.start()

    job.assert_undisturbed()


def test_a_worker_that_was_stopped_past_its_lease_does_nothing_twice_when_it_goes_on(
    hardy: StartWorker, beat: "Beat", caller: Service
) -> None:
    frozen = hardy()
    job = ask(caller, 400, learners_per_subtask=2)
    wait_until(JobSlice.objects.exclude(finished=None).exists, "the job is under way")
    os.killpg(frozen.pid, signal.SIGSTOP)
    try:
        hardy()
        job.assert_undisturbed()
    finally:
        os.killpg(frozen.pid, signal.SIGCONT)
    caller.broker.wait_until_quiet()

    job.assert_undisturbed()
    assert set(LearnerOutcome.objects.values_list("attempts", flat=True)) == {1}
    assert beat.is_running


def test_a_chord_with_a_part_that_hit_the_time_limit_still_ends_well(
    hardy: StartWorker, caller: Service, faults: Path, recovery_env: dict[str, str]
) -> None:
    from chaos.environment import Beat  # noqa: PLC0415 - it loads the app: Django is configured by now

    hardy(modules=("tests.support.hurry",))
    inject_fault(faults, SLICE, Fault(function="_write_outcomes", action="hang"))

    job = ask(caller)

    failed = TaskResult.objects.filter(task_name=SLICE, status="FAILURE")
    wait_until(failed.exists, "a part of the chord fails")
    caller.broker.wait_until_quiet()
    assert not TaskResult.objects.filter(task_id=job.task_id, status="FAILURE").exists()
    with Beat(recovery_env):
        job.assert_undisturbed()
    assert executed_faults(faults)
