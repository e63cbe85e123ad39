"""A table of the LMS is locked for long while jobs keep coming: it costs waiting, and nothing else."""

import os
import time
from itertools import islice

from django.db import connection
from django_celery_results.models import TaskResult

from tests.acceptance.recovery.conftest import StartWorker
from tests.support.ids import PROGRAM
from tests.support.locks import TakeLock
from tests.support.populations import add_learners
from tests.support.service import LINK, Service, result_of
from tests.support.waiting import wait_until
from worker.models import JobSlice, LearnerOutcome, LinkingJob

SECONDS = int(os.environ.get("HELD_LOCK_SECONDS", "8"))
"""Seconds for which the lock is held; by hand: HELD_LOCK_SECONDS=300 HELD_LOCK_TIMEOUT=10 pytest -s --timeout 540."""
LOCK_TIMEOUT = os.environ.get("HELD_LOCK_TIMEOUT", "1")
PAUSE = 0.25 if SECONDS < 60 else 1.0
"""Seconds between two jobs."""
CHILDREN = 2
LARGE = 50
"""Learners of each tenth job; the others have one."""


LOCKS = {
    "postgresql": "LOCK TABLE student_courseenrollment IN ACCESS EXCLUSIVE MODE",
    "mysql": "LOCK TABLES student_courseenrollment WRITE",
}
SESSIONS = {
    "postgresql": "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
    "mysql": "FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()",
}


def sessions() -> int:
    """Return the number of other sessions of the database."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*) {SESSIONS[connection.vendor]}")
        ((count,),) = cursor.fetchall()
    return int(count)


def test_a_locked_table_costs_no_worker_no_session_and_no_caller(
    start_worker: StartWorker, caller: Service, lock: TakeLock
) -> None:
    learners = iter(add_learners(SECONDS * 30).items())
    environment = {"LINKING_LOCK_TIMEOUT": LOCK_TIMEOUT, "LINKING_STALL_AFTER": "60"}
    others = sessions()  # Of the tests, and of the worker that they share.
    worker = start_worker(environment, concurrency=CHILDREN)
    result_of(caller.send(LINK, str(PROGRAM), dict(islice(learners, 1))))
    children = {child.pid for child in worker.pool_children()}
    sent: list[str] = []
    most = 0

    held = lock(LOCKS[connection.vendor])
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        size = LARGE if len(sent) % 10 == 0 else 1
        options = {"learners_per_subtask": LARGE // 5} if size > 1 else {}
        sent.append(caller.send(LINK, str(PROGRAM), dict(islice(learners, size)), kwargs=options))
        most = max(most, sessions() - others - 1)  # That of the lock.
        time.sleep(PAUSE)  # Callers do not wait for each other.
    assert LearnerOutcome.objects.exclude(outcome="pending").count() == 1, "the lock blocks every job"
    held.release()
    released = time.monotonic()

    ended = LinkingJob.objects.exclude(notified=None)
    wait_until(lambda: ended.count() == len(sent) + 1, "all jobs have ended", timeout=60)
    took = time.monotonic() - released
    print(f"{len(sent)} jobs; at most {most} sessions; all done {took:.1f} s after {SECONDS} s of the lock")  # noqa: T201 - the figures of a manual run
    assert [result_of(task_id) for task_id in sent] == [{}] * len(sent)
    assert not TaskResult.objects.filter(status="FAILURE").exists()
    assert set(LearnerOutcome.objects.values_list("outcome", "attempts")) == {("linked", 1)}
    assert set(JobSlice.objects.values_list("attempts", flat=True)) == {0}
    assert {child.pid for child in worker.pool_children()} == children
    assert most < CHILDREN + 5
