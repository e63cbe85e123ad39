"""Our image as a worker, on Redis and on RabbitMQ: it links, shares a job, is killed, is stopped."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from queue import Empty
from typing import Any

import pytest
from django_celery_results.models import TaskResult
from pytest_celery import CeleryTestSetup

from linking.messages import NO_LMS_USER_TEMPLATE
from linking.models import ProgramEnrollment
from tests.smoke.conftest import LinkingWorker
from tests.support.backlog import assert_worked_off_once, slow_slices, work_off_backlog
from tests.support.broker import QUEUES
from tests.support.locks import TakeLock
from tests.support.populations import add_learners
from tests.support.service import ANSWERS, Service, open_chords, result_of
from tests.support.waiting import wait_until
from worker.models import LearnerOutcome, LinkingJob

pytestmark = pytest.mark.django_db(transaction=True)

GRACE = 90
"""Seconds: ``stop_grace_period`` of the workers in docker-compose.yml."""
LINKING = "LOCK TABLE program_enrollments_programenrollment IN EXCLUSIVE MODE"


class Caller(Service):
    """A service on Redis or RabbitMQ: it has no direct view of the broker."""

    def close(self) -> None:
        """Clear the queues for the next test, and disconnect."""
        with self._app.connection_for_read() as connection:
            for name in (ANSWERS, *QUEUES):
                with connection.SimpleQueue(name) as queue:
                    queue.clear()
        self._app.close()

    def wait_for_answers(self, number: int) -> list[Any]:
        """Wait for ``number`` callbacks; return the error dictionaries of all callbacks."""
        answers: list[Any] = []
        with self._app.connection_for_read() as connection, connection.SimpleQueue(ANSWERS) as queue, suppress(Empty):
            while True:
                message = queue.get(timeout=30 if len(answers) < number else 0.5)
                answers.append(message.payload[0][0])
                message.ack()
        return answers


@pytest.fixture
def caller(celery_setup: CeleryTestSetup) -> Iterator[Caller]:
    assert celery_setup.ready()
    with closing(Caller(celery_setup.app.conf.broker_url)) as caller:
        yield caller


def assert_linked_once(caller: Caller, task_id: str, learners: int) -> None:
    assert result_of(task_id) == {}
    assert set(LearnerOutcome.objects.values_list("outcome", flat=True)) == {"linked"}
    assert ProgramEnrollment.objects.exclude(user=None).count() == learners
    assert LinkingJob.objects.get().counts == {"linked": learners}
    wait_until(lambda: LinkingJob.objects.exclude(notified=None).exists(), "the result is sent")
    assert caller.wait_for_answers(1) == [{}]


def test_a_mapping_is_linked_and_a_second_call_with_its_key_waits_for_the_result(
    caller: Caller, row_lock: TakeLock, default_worker_container: LinkingWorker
) -> None:
    check = "import django; django.setup(); from worker.celery.application import check_broker; check_broker()"
    assert default_worker_container.exec_run(["python", "-c", check]) == (0, b"")  # The check of /readyz.
    mapping = add_learners(100) | {"s-nobody": "u-nobody"}
    expected = {"s-nobody": NO_LMS_USER_TEMPLATE.format(username="u-nobody")}
    held = row_lock("s-0")
    first = caller.link(mapping, idempotency_key="monday")
    held.wait_for_blocked(1)  # The other pool child is free for the second call.

    second = caller.link(mapping, idempotency_key="monday")
    wait_until(TaskResult.objects.filter(task_id=second, status="RETRY").exists, "the second call is retried")
    assert not TaskResult.objects.filter(task_id=second, status="SUCCESS").exists()
    held.release()

    assert result_of(first) == expected
    assert result_of(second) == expected
    assert LinkingJob.objects.get().counts == {"linked": 100, "no_user": 1}
    assert ProgramEnrollment.objects.exclude(user=None).count() == 100
    assert caller.wait_for_answers(2) == [expected, expected]
    assert open_chords() == 0


def test_two_workers_share_a_job_and_when_one_is_killed_the_other_ends_it(
    caller: Caller,
    lock: TakeLock,
    default_worker_container: LinkingWorker,
    second_worker_container: LinkingWorker,
) -> None:
    mapping = add_learners(60)
    held = lock(LINKING)
    task_id = caller.link(mapping, learners_per_subtask=1)
    held.wait_for_blocked(4)  # Two pool children in each of two workers.

    default_worker_container.kill("SIGKILL")
    held.release()

    def ended() -> bool:
        caller.send("linking.resume_stalled_jobs", expires=30)  # As beat does.
        return LinkingJob.objects.get().is_final

    wait_until(ended, "the job ends", interval=0.5)
    assert default_worker_container.exit_code == 137
    assert_linked_once(caller, task_id, 60)


def test_a_busy_worker_that_is_stopped_ends_what_it_has_begun_and_gives_back_the_rest(
    caller: Caller, lock: TakeLock, default_worker_container: LinkingWorker, request: pytest.FixtureRequest
) -> None:
    mapping = add_learners(60)
    held = lock(LINKING)
    task_id = caller.link(mapping, learners_per_subtask=1)
    held.wait_for_blocked(2)

    with ThreadPoolExecutor() as background:
        begun = time.monotonic()
        stopped = background.submit(default_worker_container.stop, GRACE)
        wait_until(lambda: "Warm shutdown" in default_worker_container.logs(), "the worker logs that it stops")
        held.release()
        stopped.result()
        took = time.monotonic() - begun

    assert default_worker_container.exit_code == 0
    assert took < GRACE
    left = LearnerOutcome.objects.filter(outcome="pending").count()
    assert 0 < left < 60
    assert set(LearnerOutcome.objects.exclude(outcome="pending").values_list("outcome", "attempts")) == {("linked", 1)}
    request.getfixturevalue("second_worker_container")  # Without recovery: the broker has all messages.
    assert_linked_once(caller, task_id, 60)
    assert set(LearnerOutcome.objects.values_list("attempts", flat=True)) == {1}


def test_a_backlog_is_worked_off_once_and_delays_neither_small_jobs_nor_the_sweeper(
    caller: Caller, default_worker_container: LinkingWorker
) -> None:
    assert default_worker_container.status == "running"

    with slow_slices():
        worked_off = work_off_backlog(caller)

    assert_worked_off_once(worked_off)
