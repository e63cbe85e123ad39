"""Jobs that stand still are taken up once, exactly when they stand still, and not for ever."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.conf import settings
from django.db import OperationalError, connection
from django.utils import timezone
from django_celery_results.models import TaskResult

from linking.models import ProgramEnrollment
from tests.support.ids import ALGEBRA
from tests.support.jobs import outcomes, submit
from tests.support.populations import add_learners
from tests.support.rows import add_course_run, enroll, enroll_in_course, make_course, make_user
from tests.support.stored import user_of
from worker import jobs
from worker.celery import app
from worker.celery.backend import LedgerBackend
from worker.jobs.recovery import MAX_RESUMES, claim_stalled_jobs
from worker.jobs.slices import ATTEMPTS, run_slice
from worker.models import JobSlice, LinkingJob

STALL_AFTER = settings.LINKING_STALL_AFTER
LONG = 10_000
"""Times STALL_AFTER: longer than any wait for a job that leads nowhere."""
only_postgres = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one lock for everything")


def ago(seconds: float) -> datetime:
    """Return the moment ``seconds`` ago."""
    return timezone.now() - timedelta(seconds=seconds)


def stalled_job(learners: int = 3) -> LinkingJob:
    """Write a job that was dispatched long ago, and of which nothing has been heard since."""
    job = submit(add_learners(learners))
    LinkingJob.objects.filter(pk=job.pk).update(
        created=ago(LONG * STALL_AFTER), dispatched=ago(LONG * STALL_AFTER), state="running"
    )
    job.refresh_from_db()
    return job


def age(job: LinkingJob, seconds: float) -> None:
    """Let ``seconds`` pass for the job since it was taken up last."""
    LinkingJob.objects.filter(pk=job.pk).update(resumed=ago(seconds))


def taken() -> list[UUID]:
    """Return the ids of the jobs that one look takes up."""
    return [job.pk for job in claim_stalled_jobs()]


# --- When a job stands still ------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_job_that_nothing_happens_to_is_taken_up() -> None:
    job = stalled_job()

    assert taken() == [job.pk]

    job.refresh_from_db()
    assert job.resumes == 1


@pytest.mark.django_db
@pytest.mark.parametrize(("share", "is_stalled"), [(0.9, False), (1.1, True)])
@pytest.mark.parametrize("what", ["dispatched", "touched"])
def test_a_job_stands_still_when_its_last_progress_is_as_old_as_the_setting_says(
    what: str, share: float, is_stalled: bool
) -> None:
    job = stalled_job()
    if what == "dispatched":
        LinkingJob.objects.update(dispatched=ago(share * STALL_AFTER))
    else:
        JobSlice.objects.filter(number=1).update(touched=ago(share * STALL_AFTER))

    assert taken() == ([job.pk] if is_stalled else [])


@pytest.mark.django_db
def test_a_slice_that_is_worked_on_keeps_its_job_from_standing_still() -> None:
    job = stalled_job()

    run_slice(job.pk, 1)

    assert taken() == []


@pytest.mark.django_db
@pytest.mark.parametrize("state", ["done", "cancelled"])
def test_a_job_whose_answer_was_given_is_left_alone(state: str) -> None:
    stalled_job()
    LinkingJob.objects.update(state=state, notified=timezone.now())

    assert taken() == []


@pytest.mark.django_db
def test_a_finished_job_whose_answer_was_not_given_is_taken_up() -> None:
    job = stalled_job()
    LinkingJob.objects.update(state="cancelled")

    assert taken() == [job.pk]


@pytest.mark.django_db
def test_a_job_that_waits_for_another_does_not_stand_still() -> None:
    job, other = stalled_job(), stalled_job()
    LinkingJob.objects.filter(pk=job.pk).update(waits_for=[str(other.pk)], state="received", dispatched=None)

    assert taken() == [other.pk]


# --- Again and again --------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_wait_doubles_from_the_second_time_that_taking_it_up_led_nowhere() -> None:
    job = stalled_job()
    assert taken() == [job.pk]

    for wait in (1, 1, 2, 4, 8):
        age(job, (wait - 0.1) * STALL_AFTER)
        assert taken() == []
        age(job, (wait + 0.1) * STALL_AFTER)
        assert taken() == [job.pk]


@pytest.mark.django_db
def test_progress_sets_the_wait_back() -> None:
    job = stalled_job()
    taken()
    for _ in range(3):
        age(job, 100 * STALL_AFTER)
        assert taken() == [job.pk]
    run_slice(job.pk, 0)
    LinkingJob.objects.update(resumed=ago(3 * STALL_AFTER))
    JobSlice.objects.filter(number=0).update(touched=ago(1.1 * STALL_AFTER), finished=ago(1.1 * STALL_AFTER))

    assert taken() == [job.pk]

    job.refresh_from_db()
    assert job.resumes == 1


@pytest.mark.django_db
def test_a_job_that_leads_nowhere_for_ever_fails_and_tells_its_caller() -> None:
    job = stalled_job()
    for _ in range(MAX_RESUMES):
        assert taken() == [job.pk]
        age(job, LONG * STALL_AFTER)
    job.refresh_from_db()
    assert job.state == "running"

    assert taken() == [job.pk]

    job.refresh_from_db()
    assert job.state == "failed"
    assert set(outcomes(job).values()) == {"error"}
    assert "no progress" in job.message


# --- At once ----------------------------------------------------------------------------------------------------------


def in_threads(count: int, call: Callable[[], Any]) -> list[Any]:
    """Call ``call`` at once in threads with connections of their own; return what they returned."""
    barrier = threading.Barrier(count)

    def at_once(_: int) -> Any:
        try:
            connection.ensure_connection()
            barrier.wait(10)
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(at_once, range(count)))


@pytest.mark.django_db(transaction=True)
def test_many_sweepers_at_once_take_a_job_up_once() -> None:
    expected = sorted(stalled_job().pk for _ in range(5))

    found = in_threads(8, taken)

    assert sorted(pk for pks in found for pk in pks) == expected
    assert set(LinkingJob.objects.values_list("resumes", flat=True)) == {1}


@only_postgres
@pytest.mark.django_db(transaction=True)
def test_a_slice_that_loses_a_deadlock_to_another_program_is_run_again() -> None:
    """The other program locks the course enrollment first and the program enrollment second, as ours never does."""
    ada, bob = make_user("ada"), make_user("bob")
    make_course(ALGEBRA)
    place = enroll("s-1", bob)
    enrolled = enroll_in_course(bob)
    add_course_run(place, ALGEBRA, enrolled)
    job = submit({"s-1": "ada"})
    jobs.start(job)
    settings_dict = connection.settings_dict
    host = settings_dict["OPTIONS"]["host"]
    other = psycopg.connect(dbname=settings_dict["NAME"], user=settings_dict["USER"], host=host)
    with other, ThreadPoolExecutor(1) as pool:
        other.execute("SELECT FROM student_courseenrollment WHERE id = %s FOR UPDATE", [enrolled.pk])
        run = pool.submit(in_threads, 1, lambda: run_slice(job.pk, 0))
        while other.execute("SELECT COUNT(*) FROM pg_locks WHERE NOT granted").fetchone() != (1,):
            time.sleep(0.01)
        # Ours has waited longer, so it is ours that PostgreSQL ends.
        other.execute("UPDATE program_enrollments_programenrollment SET status = 'ended' WHERE id = %s", [place.pk])
        other.commit()
        run.result(30)

    assert outcomes(job) == {"s-1": "relinked"}
    assert user_of(place) == ada.username
    assert ProgramEnrollment.objects.get().status == "ended"


@only_postgres
@pytest.mark.django_db(transaction=True)
def test_an_attempt_that_ended_with_the_connection_is_nobodys_fault() -> None:
    make_user("ada")
    place = enroll("s-1")
    job = submit({"s-1": "ada"})
    settings_dict = connection.settings_dict
    host = settings_dict["OPTIONS"]["host"]
    options: dict[str, Any] = {"dbname": settings_dict["NAME"], "user": settings_dict["USER"], "host": host}
    waiting = "SELECT pid FROM pg_locks WHERE NOT granted"
    with psycopg.connect(**options) as other, psycopg.connect(**options, autocommit=True) as admin:
        other.execute("SELECT FROM program_enrollments_programenrollment WHERE id = %s FOR UPDATE", [place.pk])
        for _ in range(ATTEMPTS + 1):
            with ThreadPoolExecutor(1) as pool:
                run = pool.submit(in_threads, 1, lambda: run_slice(job.pk, 0))
                while (row := admin.execute(waiting).fetchone()) is None:
                    time.sleep(0.01)
                assert JobSlice.objects.get().attempts == 1
                admin.execute("SELECT pg_terminate_backend(%s)", row)
                with pytest.raises(OperationalError):
                    run.result(30)
            assert JobSlice.objects.get().attempts == 0

    assert run_slice(job.pk, 0).counts == {"linked": 1}


# --- Results ----------------------------------------------------------------------------------------------------------


@only_postgres
@pytest.mark.django_db(transaction=True)
def test_a_result_that_meets_a_lost_connection_is_stored_on_a_new_one() -> None:
    backend = LedgerBackend(app)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    options = connection.settings_dict
    with psycopg.connect(
        dbname=options["NAME"], user=options["USER"], host=options["OPTIONS"]["host"], autocommit=True
    ) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [pid])

    backend.store_result("11111111-1111-4111-8111-111111111111", {"s-1": "gone"}, "SUCCESS")

    assert TaskResult.objects.get().status == "SUCCESS"
