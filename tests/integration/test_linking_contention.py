"""Deadlocks and long locks: services, slices and dry runs run again, or raise; no learner is at fault."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import DatabaseError, OperationalError, connection, transaction

from linking import api
from linking.models import CourseEnrollment, ProgramEnrollment
from linking.sql import is_contention, is_lock_timeout
from tests.support.ids import ALGEBRA, PROGRAM
from tests.support.jobs import run, run_job, submit, undo
from tests.support.locks import TakeLock, lock_timeout
from tests.support.rows import add_course_run, enroll, enroll_in_course, make_course
from tests.support.runs import link_by_engine, rehearsed_results
from tests.support.stored import user_of
from tests.support.visitors import VIEW, page, visitor
from tests.support.waiting import wait_until
from worker import jobs
from worker.jobs.slices import run_slice
from worker.models import JobSlice, LearnerOutcome

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite's transactions run one after the other"),
]

LOCK_COURSE_ENROLLMENTS = "SELECT 1 FROM student_courseenrollment FOR UPDATE"


@pytest.fixture
def enrollment(ada: User, bob: User) -> ProgramEnrollment:
    """A program enrollment that ada has, realized in a course in which bob is enrolled, too."""
    enrollment = enroll("s-1", ada)
    add_course_run(enrollment, make_course(), enroll_in_course(ada))
    enroll_in_course(bob, mode="audit")
    return enrollment


@pytest.fixture
def deadlock(database_url: str) -> Iterator[Callable[[], object]]:
    """Let the next transaction that locks program and then course enrollments lose a deadlock; check that it did."""
    with psycopg.connect(database_url) as other, ThreadPoolExecutor(1) as pool:
        other.execute("SET deadlock_timeout = '1min'")  # The other side detects the deadlock, and loses.
        other.execute(LOCK_COURSE_ENROLLMENTS)

        def close_the_circle() -> None:
            with psycopg.connect(database_url, autocommit=True) as observer:
                blocked = "SELECT COUNT(*) FROM pg_locks WHERE NOT granted"
                wait_until(lambda: observer.execute(blocked).fetchone() == (1,), "a transaction waits")
            other.execute("SELECT 1 FROM program_enrollments_programenrollment FOR UPDATE")
            other.rollback()

        closed = pool.submit(close_the_circle)
        yield closed.done
        closed.result(20)


def relink(_enrollment: ProgramEnrollment) -> None:
    assert link_by_engine({"s-1": "bob"}) == {}


def link_again(enrollment: ProgramEnrollment) -> None:
    bob = User.objects.get(username="bob")
    ProgramEnrollment.objects.filter(pk=enrollment.pk).update(user=None)
    api.link_program_enrollment_to_lms_user(enrollment, bob)


def rehearse(_enrollment: ProgramEnrollment) -> None:
    (result,) = rehearsed_results(PROGRAM, {"s-1": "bob"})
    assert (result.outcome, result.message) == ("relinked", "")


@pytest.mark.parametrize(
    ("work", "user"),
    [(relink, "bob"), (link_again, "bob"), (api.unlink_program_enrollment, None), (rehearse, "ada")],
)
def test_it_runs_again_after_a_deadlock(
    enrollment: ProgramEnrollment,
    deadlock: Callable[[], bool],
    work: Callable[[ProgramEnrollment], None],
    user: str | None,
) -> None:
    work(enrollment)

    assert user_of(enrollment) == user
    wait_until(deadlock, "the deadlock is over")


@pytest.mark.parametrize("work", [relink, link_again, api.unlink_program_enrollment, rehearse])
def test_inside_a_transaction_of_the_caller_it_raises_the_deadlock(
    enrollment: ProgramEnrollment, deadlock: Callable[[], bool], work: Callable[[ProgramEnrollment], None]
) -> None:
    with pytest.raises(OperationalError) as caught, transaction.atomic():
        work(enrollment)

    assert is_contention(caught.value)
    assert user_of(enrollment) == "ada"
    wait_until(deadlock, "the deadlock is over")


def test_a_dry_run_that_begins_anew_reports_each_learner_once(ada: User, bob: User) -> None:
    enroll("s-1")
    refused = enroll("s-2")
    job = submit({"s-1": "ada", "s-2": "bob"}, learners_per_subtask=2, dry_run=True)
    # Together it is refused as a conflict. Then the first half is done, and the second one loses a deadlock.
    body = """
        IF nextval('refusals') = 2 THEN RAISE EXCEPTION 'lost' USING ERRCODE = 'deadlock_detected'; END IF;
        RAISE EXCEPTION 'refused' USING ERRCODE = 'integrity_constraint_violation';
    """

    with refusing("BEFORE UPDATE", refused, body):
        errors = run(job)

    assert errors.keys() == {"s-2"}
    assert errors["s-2"].startswith("IntegrityError: refused")
    assert job.counts == {"linked": 1, "conflict": 1}


@contextmanager
def refusing(event: str, enrollment: ProgramEnrollment, body: str, kind: str = "", when: str = "") -> Iterator[None]:
    """Run ``body`` in a trigger of a program enrollment."""
    table = "program_enrollments_programenrollment"
    create = f"""
        CREATE SEQUENCE refusals;
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;
        CREATE {kind} TRIGGER refuse {event} ON {table} {when}
        FOR EACH ROW WHEN (NEW.id = {enrollment.pk}) EXECUTE FUNCTION refuse()
    """
    with connection.cursor() as cursor:
        cursor.execute(create)
        try:
            yield
        finally:
            cursor.execute(f"DROP TRIGGER refuse ON {table}; DROP FUNCTION refuse(); DROP SEQUENCE refusals")


@pytest.mark.parametrize("attempts", [0, 2], ids=["together", "isolated"])
@pytest.mark.parametrize("learners", [1, 2])
def test_a_lock_timeout_ends_the_run_at_once_and_counts_as_no_attempt(
    lock: TakeLock, enrollment: ProgramEnrollment, attempts: int, learners: int
) -> None:
    enroll("s-2", enrollment.user, curriculum_uuid=PROGRAM)
    job = submit(dict(list({"s-1": "bob", "s-2": "bob"}.items())[:learners]), learners_per_subtask=2)
    jobs.start(job)
    JobSlice.objects.update(attempts=attempts)
    held = lock("LOCK TABLE student_courseenrollment IN ACCESS EXCLUSIVE MODE")

    with lock_timeout(0.1):
        for _ in range(4):
            began = time.monotonic()
            with pytest.raises(DatabaseError) as caught:
                run_slice(job.pk, 0)
            assert is_lock_timeout(caught.value)
            assert time.monotonic() - began < 1

    assert list(JobSlice.objects.values_list("attempts", flat=True)) == [attempts]
    assert set(LearnerOutcome.objects.values_list("attempts", "outcome")) == {(0, "pending")}
    held.release()
    assert run(job) == {}


def test_commands_and_pages_say_that_rows_are_locked(lock: TakeLock, enrollment: ProgramEnrollment) -> None:
    client = visitor(VIEW)
    lock("LOCK TABLE worker_linkingjob, program_enrollments_programenrollment IN ACCESS EXCLUSIVE MODE")

    with lock_timeout(0.1):
        with pytest.raises(CommandError, match=r"^Another transaction locks rows .* try again later\.$"):
            call_command("link_program_enrollments", str(PROGRAM), "s-1:bob", "--now")
        response = client.get(page("changelist"))

    assert (response.status_code, response["Retry-After"]) == (503, "30")
    assert response.content.startswith(b"Another transaction locks rows")


def test_the_server_ends_the_session_of_a_client_that_is_gone(lock: TakeLock, database_url: str) -> None:
    lock("LOCK TABLE student_courseenrollment IN ACCESS EXCLUSIVE MODE")
    opened: list[psycopg.Connection[Any]] = []

    def wait_for_the_lock() -> None:
        try:
            with lock_timeout(60):
                opened.append(connection.connection)
                CourseEnrollment.objects.exists()
        except OperationalError:
            pass  # The connection is gone, as that of a killed process.
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool, psycopg.connect(database_url, autocommit=True) as observer:
        pool.submit(wait_for_the_lock)
        wait_until(lambda: len(opened) == 1, "a session is open")

        def waits() -> bool:
            (row,) = observer.execute("SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND pid = %s", [pid]).fetchall()
            return row == (1,)

        pid = opened[0].info.backend_pid
        wait_until(waits, "the session waits")
        with socket.socket(fileno=os.dup(opened[0].fileno())) as client:
            client.shutdown(socket.SHUT_RDWR)
        wait_until(lambda: not waits(), "the session has ended", timeout=15)


def test_rows_that_point_at_a_course_enrollment_do_not_wait_for_its_linking(
    enrollment: ProgramEnrollment, database_url: str
) -> None:
    row = CourseEnrollment.objects.get(user=enrollment.user)
    with transaction.atomic():
        relink(enrollment)
        with psycopg.connect(database_url) as lms:
            lms.execute("SET lock_timeout = '1s'")
            lms.execute("SELECT 1 FROM student_courseenrollment WHERE id = %s FOR KEY SHARE", [row.pk])


@pytest.mark.parametrize("undoes", [False, True], ids=["link", "undo"])
@pytest.mark.parametrize("dry_run", [False, True], ids=["real", "dry run"])
def test_a_learner_that_the_commit_would_refuse_is_reported_and_the_others_go_on(
    undoes: bool, dry_run: bool, ada: User, bob: User
) -> None:
    make_course(ALGEBRA)
    refused, other = enroll("s-1"), enroll("s-2")
    mapping = {"s-1": "ada", "s-2": "bob"}
    job = run_job(mapping, learners_per_subtask=2) if undoes else submit(mapping, dry_run=dry_run)

    body = "RAISE EXCEPTION 'refused at the commit' USING ERRCODE = 'integrity_constraint_violation';"
    with refusing("AFTER UPDATE", refused, body, "CONSTRAINT", "DEFERRABLE INITIALLY DEFERRED"):
        if undoes:
            job = undo(job, dry_run=dry_run)
        else:
            run(job)

    messages = dict(LearnerOutcome.objects.filter(job=job).values_list("external_user_key", "message"))
    assert messages["s-1"].startswith("IntegrityError: refused at the commit")
    assert messages["s-2"] == ""
    assert job.counts == {"conflict": 1, "undone" if undoes else "linked": 1}
    assert user_of(other) == (None if undoes != dry_run else "bob")
