"""What a caller is told where a message about a job fails and the job does not."""

from collections.abc import Callable
from pathlib import Path

import pytest
from celery import Celery
from django_celery_results.models import TaskResult

from devservers import Server
from tests.acceptance.recovery.conftest import StartWorker
from tests.support.checks import Asked
from tests.support.ids import PROGRAM
from tests.support.locks import RowLock
from tests.support.populations import add_learners
from tests.support.service import FAILURES, LINK, Service
from tests.support.waiting import wait_until
from worker.models import LinkingJob

NOBODY = {"s-9": "nobody"}
ERRORS = {"s-9": "No user found with username nobody"}


def test_a_fan_out_that_hits_the_time_limit_is_no_failure_of_its_job(
    hardy: StartWorker, caller: Service, beat: Server, faults: Path
) -> None:
    from chaos.injection import Fault, inject_fault  # noqa: PLC0415 - it loads the app: Django is configured by now

    mapping = add_learners(3) | NOBODY
    inject_fault(faults, LINK, Fault(function="send", action="hang"))
    worker = hardy()
    link, link_error = caller.callback(), caller.callback(FAILURES)

    task_id = caller.send(LINK, str(PROGRAM), mapping, time_limit=2, link=link, link_error=link_error)
    wait_until(lambda: "the job goes on" in worker.log.read_text(), "the fan-out hits the time limit")

    assert f"Hard time limit (2s) exceeded for {LINK}[{task_id}]" in worker.log.read_text()
    assert not TaskResult.objects.filter(task_id=task_id).exists()
    assert beat.is_running
    Asked(
        service=caller, task_id=task_id, mapping=mapping, errors={"s-9": "No user found with username nobody"}
    ).assert_undisturbed()


@pytest.mark.parametrize("terminate", [False, True])
def test_a_job_that_has_begun_does_not_mind_its_task_being_revoked(
    hardy: StartWorker,
    caller: Service,
    row_lock: Callable[[str], RowLock],
    recovery_env: dict[str, str],
    *,
    terminate: bool,
) -> None:
    hardy()
    mapping = add_learners(3) | NOBODY
    place = row_lock("s-0")
    job = Asked(service=caller, task_id=caller.link(mapping), mapping=mapping, errors=ERRORS)
    place.wait_for_blocked(1)
    wait_until(LinkingJob.objects.exclude(dispatched=None).exists, "the job is dispatched")

    with Celery(broker=recovery_env["CELERY_BROKER_URL"], set_as_current=False) as client:
        assert client.control.revoke(job.task_id, terminate=terminate, reply=True)
    place.release()

    job.assert_undisturbed()
