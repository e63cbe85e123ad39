"""Pause and resume while workers run: by command and by task."""

import json
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from linking.models import ProgramEnrollment
from tests.acceptance.recovery.conftest import StartWorker
from tests.support.ids import PROGRAM
from tests.support.locks import TakeLock
from tests.support.populations import add_learners
from tests.support.programs import Command
from tests.support.sent_jobs import recover, wait_until_finished
from tests.support.service import Service, result_of
from tests.support.waiting import wait_until
from worker.models import JobSlice, LinkingJob, Pause


def long_ago() -> datetime:
    return timezone.now() - timedelta(hours=9)


def linked() -> int:
    return ProgramEnrollment.objects.exclude(user=None).count()


def printed(manage: Command, *arguments: str) -> Any:
    process = manage(*arguments, "--json")
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


def test_a_paused_job_stops_at_the_next_slice_and_goes_on_when_it_is_resumed(
    start_worker: StartWorker, caller: Service, row_lock: TakeLock, manage: Command
) -> None:
    start_worker(concurrency=1)
    mapping = add_learners(12)
    held = row_lock("s-0")
    job_id = caller.link(mapping, learners_per_subtask=3)
    held.wait_for_blocked(1)

    assert printed(manage, "pause", job_id, "--reason", "LMS upgrade")["reason"] == "LMS upgrade"
    held.release()
    wait_until(JobSlice.objects.exclude(finished=None).exists, "the running slice ends")
    caller.broker.wait_until_quiet()  # The messages of the other slices are gone.

    assert linked() == 3
    LinkingJob.objects.update(created=long_ago(), dispatched=long_ago())
    JobSlice.objects.exclude(touched=None).update(touched=long_ago())
    for _ in range(3):
        recover(caller)
    caller.broker.wait_until_quiet()
    job = LinkingJob.objects.get()
    assert (linked(), job.state, job.resumes) == (3, "running", 0)
    assert printed(manage, "show", job_id)["paused"]["reason"] == "LMS upgrade"
    assert "is paused since" in manage("list").stdout

    assert printed(manage, "resume", job_id) == {"resumed": f"job {job_id}"}
    assert result_of(job_id) == {}
    assert linked() == 12
    assert wait_until_finished(job_id).counts == {"linked": 12}
    wait_until(lambda: caller.answers() == [{}], "the caller has its answer")


def test_everything_is_paused_by_a_task_while_requests_are_accepted_and_wait(
    start_worker: StartWorker, caller: Service, manage: Command
) -> None:
    start_worker()
    caller.send("linking.pause", kwargs={"everything": True, "reason": "exam week", "by": "calendar"})
    wait_until(Pause.objects.exists, "everything is paused")
    assert [str(value) for value in Pause.objects.values_list("kind", "paused_by", "reason").get()] == [
        "everything",
        "calendar",
        "exam week",
    ]

    first = caller.link(add_learners(20), learners_per_subtask=5)
    mapping = add_learners(2)
    second, same_learners = caller.link(mapping), caller.link(mapping)
    dry = caller.link(add_learners(2), dry_run=True)
    wait_until(lambda: LinkingJob.objects.count() == 4, "the jobs are in the ledger")
    caller.broker.wait_until_quiet()
    assert linked() == 0
    assert not JobSlice.objects.exclude(touched=None).exists()

    caller.send("linking.resume", kwargs={"everything": True})
    assert (result_of(first), result_of(second), result_of(dry)) == ({}, {}, {})
    assert set(result_of(same_learners)) == set(mapping)  # Linked by the job before.
    assert linked() == 22
    assert "everything is not paused" in manage("resume", "--all").stderr


def test_a_worker_that_is_killed_while_it_resumes_leaves_the_rest_to_recovery(
    start_worker: StartWorker, caller: Service, manage: Command
) -> None:
    """The pause is gone and no message was sent, as when the broker is away: the jobs are stalled like any others."""
    worker = start_worker()
    assert printed(manage, "pause", "--program", str(PROGRAM))["paused"] == f"program {PROGRAM}"
    job_id = caller.link(add_learners(4))
    wait_until(LinkingJob.objects.exclude(dispatched=None).exists, "the job is dispatched")
    caller.broker.wait_until_quiet()
    Pause.objects.all().delete()
    worker.kill()

    start_worker()
    LinkingJob.objects.update(created=long_ago(), dispatched=long_ago())
    recover(caller)
    assert result_of(job_id) == {}
