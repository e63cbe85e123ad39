"""Many callers: jobs of one learner that are sent at once, for one program and for a hundred."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psycopg

from benchmarks.interface import Databases
from benchmarks.variants import RESULT_TIMEOUT, TASK, BenchmarkError, Worker, send
from benchmarks.workloads import Workload, program_of_single, single
from worker.celery import app

PROGRAMS = (1, 100)
POLL_SECONDS = 0.05
"""Seconds between two counts of the results."""
RESULTS = "SELECT status, COUNT(*) FROM django_celery_results_taskresult WHERE task_name = %s GROUP BY status"


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """Seconds from the first ``send_task`` to the last stored result."""

    programs: int
    jobs: int
    seconds: float

    @property
    def milliseconds(self) -> float:
        """Milliseconds of a job, with all processes at work."""
        return 1_000 * self.seconds / self.jobs

    @property
    def rate(self) -> float:
        """Jobs per second."""
        return self.jobs / self.seconds


def measure(databases: Databases, sizes: Sequence[int]) -> Iterator[Burst]:
    """Measure a burst of each number of jobs, on a warm worker.

    Raises:
        BenchmarkError: a job failed, has no result, or linked no one.
    """
    for programs in PROGRAMS:
        for jobs in sizes:
            databases.restore(Workload.FRESH)
            with databases.connect() as connection:
                Worker().warm_up(connection)
                yield Burst(programs=programs, jobs=jobs, seconds=_time(connection, programs, jobs))


def _time(connection: psycopg.Connection, programs: int, jobs: int) -> float:
    before = _count_results(connection)
    began = time.perf_counter()
    for number in range(jobs):
        key, username = single(number)
        send(app, TASK, program_of_single(number, programs), {key: username})
    while _count_results(connection) < before + jobs:
        if time.perf_counter() - began > RESULT_TIMEOUT:
            msg = f"{jobs:,} jobs sent at once: some have no result after {RESULT_TIMEOUT:.0f} s"
            raise BenchmarkError(msg)
        time.sleep(POLL_SECONDS)
    seconds = time.perf_counter() - began
    sql = "SELECT COUNT(*) FROM worker_linkingjob WHERE state = 'done' AND counts ->> 'linked' = '1' AND total = 1"
    if (linked := connection.execute(sql).fetchone()) != (jobs,):
        msg = f"{jobs:,} jobs sent at once, but the ledger has {linked} that linked their learner"
        raise BenchmarkError(msg)
    return seconds


def _count_results(connection: psycopg.Connection) -> int:
    """Count the jobs that succeeded."""
    counts: dict[str, int] = dict(connection.execute(RESULTS, ["linking.finish_job"]).fetchall())
    if failed := counts.keys() & {"FAILURE", "REVOKED"}:  # RETRY passes.
        msg = f"jobs ended with {', '.join(failed)}"
        raise BenchmarkError(msg)
    return counts.get("SUCCESS", 0)
