"""What a caller is told where a message about a job fails and the job does not."""

from collections.abc import Callable

from django_celery_results.models import TaskResult

from tests.acceptance.broker import Lock, wait_until
from tests.acceptance.recovery.checks import Asked
from tests.acceptance.recovery.conftest import StartWorker
from tests.acceptance.service import FAILURES, LINK, Service
from tests.populations import waiting
from tests.rows import PROGRAM
from worker.embedded import Server


def test_a_fan_out_that_hits_the_time_limit_is_no_failure_of_its_job(
    hardy: StartWorker, caller: Service, beat: Server, lock: Callable[[str], Lock]
) -> None:
    mapping = waiting(3) | {"s-9": "nobody"}
    counters = lock("LOCK TABLE django_celery_results_chordcounter IN EXCLUSIVE MODE")
    worker = hardy()
    link, link_error = caller.callback(), caller.callback(FAILURES)

    task_id = caller.send(LINK, str(PROGRAM), mapping, time_limit=2, link=link, link_error=link_error)
    wait_until(lambda: "the job goes on" in worker.log.read_text(), "the fan-out hits the time limit")

    assert f"Hard time limit (2s) exceeded for {LINK}[{task_id}]" in worker.log.read_text()
    assert not TaskResult.objects.filter(task_id=task_id).exists()
    counters.release()
    assert beat.is_running
    Asked(
        service=caller, task_id=task_id, mapping=mapping, errors={"s-9": "No user found with username nobody"}
    ).assert_undisturbed()
