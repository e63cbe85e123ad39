"""A job that can make no progress fails in the end, and its caller is shown."""

from datetime import timedelta
from pathlib import Path

from django.utils import timezone

from devservers import RedisServer
from tests.acceptance.recovery.conftest import StartWorker
from tests.support.populations import add_learners
from tests.support.service import FAILURES, Service, failure_of
from tests.support.waiting import wait_until
from worker.jobs.recovery import MAX_RESUMES
from worker.models import JobSlice, LinkingJob


def test_a_job_that_is_given_up_fails_under_its_callers_id_and_calls_link_error(
    start_worker: StartWorker, caller: Service, own_redis: RedisServer, faults: Path
) -> None:
    from chaos.injection import Fault, inject_fault  # noqa: PLC0415 - it loads the app: Django is configured by now

    inject_fault(faults, "linking.link_learners", Fault(function="_count_attempt", action="kill_worker"))
    worker = start_worker(concurrency=1)
    task_id = caller.link(add_learners(3))
    wait_until(lambda: not worker.is_running, "the worker is killed in its first slice")
    own_redis.kill()
    own_redis.start()
    long_ago = timezone.now() - timedelta(days=9)
    LinkingJob.objects.update(resumes=MAX_RESUMES, created=long_ago, dispatched=long_ago, resumed=long_ago)
    JobSlice.objects.update(touched=long_ago)
    start_worker(concurrency=1)

    caller.send("linking.resume_stalled_jobs")

    kind, text = failure_of(task_id)
    assert (kind, text) == ("JobFailedError", LinkingJob.objects.get().message)
    assert "no progress after" in text
    job = LinkingJob.objects.get()
    assert (job.state, job.counts) == ("failed", {"error": 3})
    assert set(job.learners.values_list("outcome", "message")) == {("error", f"JobFailedError: {text}")}
    wait_until(lambda: bool(caller.broker.calls(FAILURES)), "link_error is called")
    assert [call[0] for call in caller.broker.calls(FAILURES)] == [task_id]
    assert caller.answers() == []
