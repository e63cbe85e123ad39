"""Redis comes back empty, PostgreSQL restarts, in the middle of a job: the same rows, the same answer."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
import redis
from django.db import DatabaseError, InterfaceError, connection

from devservers import PostgresServer, RedisServer
from tests.acceptance.recovery.conftest import STALL_AFTER, StartWorker
from tests.support.checks import ask
from tests.support.locks import Lock
from tests.support.service import Service
from tests.support.waiting import wait_until
from worker.models import JobSlice, LinkingJob

if TYPE_CHECKING:
    from chaos.environment import Beat


def wait_for_slices(count: int) -> None:
    """Wait until some slices are done and others are not."""
    wait_until(lambda: JobSlice.objects.exclude(finished=None).count() >= count, f"{count} slices are done")
    assert JobSlice.objects.filter(finished=None).exists()


def test_redis_may_lose_everything_in_the_middle_of_a_job(
    hardy: StartWorker, beat: "Beat", caller: Service, own_redis: RedisServer
) -> None:
    hardy()
    job = ask(caller, 400, learners_per_subtask=2)
    wait_for_slices(5)

    own_redis.kill()
    own_redis.start()
    time.sleep(1.5)  # Beat sends every second, and ends where it cannot.
    if not beat.is_running:
        beat.start()  # As a supervisor would.

    job.assert_undisturbed()
    assert LinkingJob.objects.get().resumes > 0


def test_a_job_that_was_taken_up_once_ends_without_being_taken_up_again(
    hardy: StartWorker, caller: Service, own_redis: RedisServer
) -> None:
    hardy()
    job = ask(caller, 400, learners_per_subtask=2)
    wait_for_slices(5)
    own_redis.kill()
    own_redis.start()
    time.sleep(STALL_AFTER + 2)

    caller.send("linking.resume_stalled_jobs")

    job.assert_undisturbed()


@pytest.mark.parametrize("end", [PostgresServer.stop, PostgresServer.kill], ids=["stopped", "killed"])
@pytest.mark.parametrize("seconds", [0, 2], ids=["at once", "after two seconds"])
def test_postgres_may_restart_in_the_middle_of_a_job(
    hardy: StartWorker,
    beat: "Beat",
    caller: Service,
    postgres_server: PostgresServer,
    *,
    end: Callable[[PostgresServer], None],
    seconds: int,
) -> None:
    hardy()
    job = ask(caller, 400, learners_per_subtask=2)
    wait_for_slices(5)

    connection.close()
    end(postgres_server)
    time.sleep(seconds)
    postgres_server.start()
    _reconnect()

    job.assert_undisturbed()
    assert beat.is_running


def test_a_request_that_can_neither_be_worked_on_nor_put_off_is_kept(
    hardy: StartWorker, caller: Service, own_redis: RedisServer, lock: Callable[[str], Lock]
) -> None:
    """The database ends the request's connection, and the broker takes no message in which it could be tried later."""
    jobs = lock("LOCK TABLE worker_linkingjob IN EXCLUSIVE MODE")
    with redis.Redis.from_url(own_redis.url) as broker:
        broker.execute_command("ACL", "SETUSER", "sender", "on", ">secret", "~*", "&*", "+@all")
        sender = {"TESTS_SENDER_URL": own_redis.url.replace("//", "//sender:secret@")}
        worker = hardy(concurrency=1, modules=["tests.support.sender"], env=sender)
        job = ask(caller, 3)
        jobs.wait_for_blocked(1)
        broker.execute_command("ACL", "SETUSER", "sender", "-lpush")
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        wait_until(lambda: "no permissions" in worker.log.read_text(), "putting the request off fails")

        jobs.wait_for_blocked(1)  # It is tried again.
        broker.execute_command("ACL", "SETUSER", "sender", "+lpush")
        jobs.release()

        job.assert_undisturbed()


def _reconnect() -> None:
    def connected() -> bool:
        try:
            connection.ensure_connection()
        except (DatabaseError, InterfaceError):
            return False
        return True

    wait_until(connected, "the database is back")
