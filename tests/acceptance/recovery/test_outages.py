"""Redis restarts empty, or the database restarts, during a job: the same rows, the same result."""

import time
from collections.abc import Callable
from datetime import timedelta

import pytest
import redis
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone

from chaos.environment import Beat
from devservers import RedisServer, Server
from tests.acceptance.recovery.conftest import STALL_AFTER, StartWorker
from tests.support.locks import TakeLock
from tests.support.sent_jobs import recover, send_job, wait_until_dispatched
from tests.support.service import Service
from tests.support.waiting import wait_until
from worker.models import JobSlice, LinkingJob


def wait_for_slices(count: int) -> None:
    """Wait until some slices are done and others are not."""
    wait_until(lambda: JobSlice.objects.exclude(finished=None).count() >= count, f"{count} slices are done")
    assert JobSlice.objects.filter(finished=None).exists()


def test_redis_may_lose_everything_in_the_middle_of_a_job(
    start_worker: StartWorker, beat: Beat, caller: Service, own_redis: RedisServer
) -> None:
    worker = start_worker()
    job = send_job(caller, 400, learners_per_subtask=2)
    wait_for_slices(5)

    own_redis.kill()
    own_redis.start()

    def is_resumed() -> bool:
        if not beat.is_running:  # Beat ends when the broker refuses its message.
            beat.start()  # As a supervisor would.
        return LinkingJob.objects.get().resumes > 0

    wait_until(is_resumed, "the job is resumed")
    job.assert_complete()
    log = worker.log.read_text()
    assert "Connection to broker lost" in log
    assert "DeprecationWarning" not in log


def test_a_job_needs_to_be_resumed_only_once(
    start_worker: StartWorker, caller: Service, own_redis: RedisServer
) -> None:
    start_worker()
    job = send_job(caller, 400, learners_per_subtask=2)
    wait_until_dispatched()
    wait_for_slices(5)
    own_redis.kill()
    own_redis.start()
    long_ago = timezone.now() - timedelta(seconds=10 * STALL_AFTER)
    wait_until(lambda: not JobSlice.objects.filter(finished=None).exclude(started=None).exists(), "no slice runs")
    LinkingJob.objects.update(created=long_ago, dispatched=long_ago)
    JobSlice.objects.update(touched=long_ago)

    recover(caller)

    job.assert_complete()


@pytest.mark.parametrize("end", [Server.stop, Server.kill], ids=["stopped", "killed"])
@pytest.mark.parametrize("seconds", [0, 2], ids=["at once", "after two seconds"])
def test_the_database_may_restart_in_the_middle_of_a_job(
    start_worker: StartWorker,
    beat: Beat,
    caller: Service,
    database_server: Server,
    *,
    end: Callable[[Server], None],
    seconds: int,
) -> None:
    start_worker()
    job = send_job(caller, 400, learners_per_subtask=2)
    wait_for_slices(5)

    connection.close()
    end(database_server)
    time.sleep(seconds)  # The length of the outage is the case.
    database_server.start()
    _reconnect()

    job.assert_complete()
    assert beat.is_running


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="statements of PostgreSQL")
def test_a_request_that_can_be_neither_run_nor_retried_is_kept(
    start_worker: StartWorker, caller: Service, own_redis: RedisServer, lock: TakeLock
) -> None:
    """The database ends the request's connection, and the broker refuses the message of its retry."""
    jobs = lock("LOCK TABLE worker_linkingjob IN EXCLUSIVE MODE")
    with redis.Redis.from_url(own_redis.url) as broker:
        broker.execute_command("ACL", "SETUSER", "worker", "on", ">secret", "~*", "&*", "+@all")
        write_url = {"TESTS_BROKER_WRITE_URL": own_redis.url.replace("//", "//worker:secret@")}
        worker = start_worker(concurrency=1, modules=["tests.support.broker_user"], env=write_url)
        job = send_job(caller, 3)
        jobs.wait_for_blocked(1)
        broker.execute_command("ACL", "SETUSER", "worker", "-lpush")
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        wait_until(lambda: "no permissions" in worker.log.read_text(), "the retry is refused")

        jobs.wait_for_blocked(1)  # It is tried again.
        broker.execute_command("ACL", "SETUSER", "worker", "+lpush")
        jobs.release()

        job.assert_complete()


def _reconnect() -> None:
    def connected() -> bool:
        try:
            connection.ensure_connection()
        except (DatabaseError, InterfaceError):
            return False
        return True

    wait_until(connected, "the database is back")
