"""The result of a job when one of its messages fails and the job does not."""

from pathlib import Path

import pytest
from celery import Celery
from django_celery_results.models import TaskResult

from devservers import Server
from tests.acceptance.recovery.conftest import StartWorker
from tests.support.ids import PROGRAM
from tests.support.locks import TakeLock
from tests.support.populations import add_learners
from tests.support.sent_jobs import SentJob, wait_until_dispatched
from tests.support.service import FAILURES, LINK, Service
from tests.support.waiting import wait_until

NOBODY = {"s-9": "nobody"}
ERRORS = {"s-9": "No user found with username nobody"}


def test_a_fan_out_that_hits_the_time_limit_is_no_failure_of_its_job(
    start_worker: StartWorker, caller: Service, beat: Server, faults: Path
) -> None:
    from chaos.injection import Fault, inject_fault  # noqa: PLC0415 - it loads the app: Django is configured by now

    mapping = add_learners(3) | NOBODY
    inject_fault(faults, LINK, Fault(function="send", action="hang"))
    worker = start_worker()
    link, link_error = caller.callback(), caller.callback(FAILURES)

    task_id = caller.send(LINK, str(PROGRAM), mapping, time_limit=2, link=link, link_error=link_error)
    wait_until(lambda: "the job goes on" in worker.log.read_text(), "the fan-out hits the time limit")

    assert f"Hard time limit (2s) exceeded for {LINK}[{task_id}]" in worker.log.read_text()
    assert not TaskResult.objects.filter(task_id=task_id).exists()
    assert beat.is_running
    SentJob(service=caller, task_id=task_id, mapping=mapping, errors=ERRORS).assert_complete()


@pytest.mark.parametrize("terminate", [False, True])
def test_a_job_that_has_begun_ends_although_its_task_is_revoked(
    start_worker: StartWorker, caller: Service, row_lock: TakeLock, recovery_env: dict[str, str], *, terminate: bool
) -> None:
    start_worker()
    mapping = add_learners(3) | NOBODY
    held = row_lock("s-0")
    job = SentJob(service=caller, task_id=caller.link(mapping), mapping=mapping, errors=ERRORS)
    held.wait_for_blocked(1)
    wait_until_dispatched()

    with Celery(broker=recovery_env["CELERY_BROKER_URL"], set_as_current=False) as client:
        assert client.control.revoke(job.task_id, terminate=terminate, reply=True)
    held.release()

    job.assert_complete()
