"""The result of a job whose messages fail or whose task is revoked, and of a job that makes no progress."""

from datetime import timedelta
from pathlib import Path

import pytest
from celery import Celery
from django.utils import timezone
from django_celery_results.models import TaskResult

from chaos.environment import Beat
from chaos.injection import Fault, inject_fault
from devservers import RedisServer
from tests.acceptance.recovery.conftest import StartWorker
from tests.support.ids import PROGRAM
from tests.support.locks import TakeLock
from tests.support.populations import add_learners
from tests.support.sent_jobs import SentJob, recover, wait_until_dispatched
from tests.support.service import FAILURES, LINK, Service, failure_of
from tests.support.waiting import wait_until
from worker.jobs.recovery import MAX_RESUMES
from worker.models import JobSlice, LinkingJob

NOBODY = {"s-9": "nobody"}
ERRORS = {"s-9": "No user found with username nobody"}


def test_a_request_that_exceeds_its_time_limit_is_no_failure_of_its_job(
    start_worker: StartWorker, caller: Service, beat: Beat, faults: Path
) -> None:
    mapping = add_learners(3) | NOBODY
    inject_fault(faults, LINK, Fault(function="send", action="hang"))
    worker = start_worker()
    link, link_error = caller.callback(), caller.callback(FAILURES)

    task_id = caller.send(LINK, str(PROGRAM), mapping, time_limit=2, link=link, link_error=link_error)
    wait_until(lambda: "the job goes on" in worker.log.read_text(), "the request exceeds the time limit")

    assert f"Hard time limit (2s) exceeded for {LINK}[{task_id}]" in worker.log.read_text()
    assert not TaskResult.objects.filter(task_id=task_id).exists()
    assert beat.is_running
    SentJob(service=caller, task_id=task_id, mapping=mapping, errors=ERRORS).assert_complete()


@pytest.mark.parametrize("terminate", [False, True])
def test_a_job_that_has_begun_ends_although_its_task_is_revoked(
    start_worker: StartWorker, caller: Service, row_lock: TakeLock, worker_env: dict[str, str], *, terminate: bool
) -> None:
    start_worker()
    mapping = add_learners(3) | NOBODY
    held = row_lock("s-0")
    job = SentJob(service=caller, task_id=caller.link(mapping), mapping=mapping, errors=ERRORS)
    held.wait_for_blocked(1)
    wait_until_dispatched()

    with Celery(set_as_current=False) as client:
        url = worker_env["CELERY_BROKER_URL"]  # As ``broker`` it would give way to that of the environment.
        client.conf.update(broker_read_url=url, broker_write_url=url, control_exchange="linking")
        assert client.control.revoke(job.task_id, terminate=terminate, reply=True)
    held.release()

    job.assert_complete()


def test_a_job_without_progress_fails_under_its_callers_id_and_calls_link_error(
    start_worker: StartWorker, caller: Service, own_redis: RedisServer, faults: Path
) -> None:
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

    recover(caller)

    kind, text = failure_of(task_id)
    assert (kind, text) == ("JobFailedError", LinkingJob.objects.get().message)
    assert "no progress after" in text
    job = LinkingJob.objects.get()
    assert (job.state, job.counts) == ("failed", {"error": 3})
    assert set(job.learners.values_list("outcome", "message")) == {("error", f"JobFailedError: {text}")}
    wait_until(lambda: bool(caller.broker.calls(FAILURES)), "link_error is called")
    assert [call[0] for call in caller.broker.calls(FAILURES)] == [task_id]
    assert caller.answers() == []
