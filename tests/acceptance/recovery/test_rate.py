"""The maximum rate over several workers, one of which is killed."""

from typing import TYPE_CHECKING

from linking.models import ProgramEnrollment
from tests.acceptance.recovery.conftest import StartWorker
from tests.support.populations import add_learners
from tests.support.sent_jobs import wait_until_finished
from tests.support.service import Service, result_of
from tests.support.waiting import wait_until
from worker.models import JobSlice, LinkingJob

if TYPE_CHECKING:
    from chaos.environment import Beat

RATE = 60


def test_two_workers_share_the_rate_a_small_job_passes_and_a_kill_loses_nobody(
    start_worker: StartWorker, caller: Service, beat: "Beat"
) -> None:
    assert beat.is_running
    limit = {"LINKING_MAX_LEARNERS_PER_SECOND": str(RATE)}
    start_worker(limit, concurrency=1)
    killed = start_worker(limit, concurrency=1)
    job_id = caller.link(add_learners(300), learners_per_subtask=100)
    wait_until(JobSlice.objects.exclude(started=None).exists, "the job has begun")

    assert result_of(caller.link(add_learners(1))) == {}
    assert LinkingJob.objects.get(pk=job_id).state == "running"
    killed.kill()

    assert result_of(job_id) == {}
    job = wait_until_finished(job_id)
    assert job.counts == {"linked": 300}
    assert ProgramEnrollment.objects.exclude(user=None).count() == 301
    assert job.started
    assert job.finished
    # Two seconds of the rate are held at the beginning, and a step is taken in advance.
    assert (job.finished - job.started).total_seconds() > 300 / RATE - 2.3
    assert not JobSlice.objects.exclude(attempts=0).exists()
