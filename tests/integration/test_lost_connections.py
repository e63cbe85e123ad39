"""Deadlocks with other programs, and connections to the database that end: the work is done again."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psycopg
import pytest
from django.db import OperationalError, connection
from django_celery_results.models import TaskResult

from linking.models import ProgramEnrollment
from tests.support.ids import ALGEBRA
from tests.support.jobs import outcomes, submit
from tests.support.rows import add_course_run, enroll, enroll_in_course, make_course, make_user
from tests.support.stored import user_of
from tests.support.threads import at_once
from tests.support.waiting import wait_until
from worker import jobs
from worker.celery import app
from worker.celery.backend import LedgerBackend
from worker.jobs.slices import ATTEMPTS, run_slice
from worker.models import JobSlice

pytestmark = [
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one lock for everything"),
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture
def connect() -> Iterator[Callable[[], psycopg.Connection]]:
    """Connect to the test database as another program: ``connect()``."""
    database = connection.settings_dict
    host = database["OPTIONS"]["host"]
    with ExitStack() as stack:
        yield lambda: stack.enter_context(
            psycopg.connect(dbname=database["NAME"], user=database["USER"], host=host, autocommit=True)
        )


def wait_until_blocked(admin: psycopg.Connection) -> int:
    """Wait until a connection waits for a lock; return the id of its process."""
    found: list[tuple[int, ...]] = []

    def is_blocked() -> bool:
        found[:] = admin.execute("SELECT pid FROM pg_locks WHERE NOT granted").fetchall()
        return bool(found)

    wait_until(is_blocked, "a slice is blocked")
    return found[0][0]


def test_a_slice_that_loses_a_deadlock_is_run_again(connect: Callable[[], psycopg.Connection]) -> None:
    """The other program locks the course enrollment first and the program enrollment second, as ours never does."""
    ada, bob = make_user("ada"), make_user("bob")
    make_course(ALGEBRA)
    enrollment, course_enrollment = enroll("s-1", bob), enroll_in_course(bob)
    add_course_run(enrollment, ALGEBRA, course_enrollment)
    job = submit({"s-1": "ada"})
    jobs.start(job)
    other = connect()
    with ThreadPoolExecutor(1) as pool:
        with other.transaction():
            other.execute("SELECT FROM student_courseenrollment WHERE id = %s FOR UPDATE", [course_enrollment.pk])
            run = pool.submit(at_once, 1, lambda _: run_slice(job.pk, 0))
            wait_until_blocked(connect())
            # Our connection has waited longer, so PostgreSQL ends its statement.
            update = "UPDATE program_enrollments_programenrollment SET status = 'ended' WHERE id = %s"
            other.execute(update, [enrollment.pk])
        run.result(30)

    assert outcomes(job) == {"s-1": "relinked"}
    assert user_of(enrollment) == ada.username
    assert ProgramEnrollment.objects.get().status == "ended"


def test_an_attempt_that_ended_with_the_connection_does_not_count(connect: Callable[[], psycopg.Connection]) -> None:
    make_user("ada")
    enrollment = enroll("s-1")
    job = submit({"s-1": "ada"})
    other, admin = connect(), connect()
    with other.transaction():
        other.execute("SELECT FROM program_enrollments_programenrollment WHERE id = %s FOR UPDATE", [enrollment.pk])
        for _ in range(ATTEMPTS + 1):
            with ThreadPoolExecutor(1) as pool:
                run = pool.submit(at_once, 1, lambda _: run_slice(job.pk, 0))
                pid = wait_until_blocked(admin)
                assert JobSlice.objects.get().attempts == 1
                admin.execute("SELECT pg_terminate_backend(%s)", [pid])
                with pytest.raises(OperationalError):
                    run.result(30)
            assert JobSlice.objects.get().attempts == 0

    assert run_slice(job.pk, 0).counts == {"linked": 1}


def test_a_result_is_stored_although_the_connection_was_lost(connect: Callable[[], psycopg.Connection]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        connect().execute("SELECT pg_terminate_backend(%s)", cursor.fetchone())

    LedgerBackend(app).store_result("11111111-1111-4111-8111-111111111111", {"s-1": "gone"}, "SUCCESS")

    assert TaskResult.objects.get().status == "SUCCESS"
