"""How long a job of one learner takes, from ``send_task`` to its stored result: alone, and while a large job runs."""

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import psycopg

from benchmarks.contestants import TASK, Worker, send, wait_for_result
from benchmarks.databases import Databases
from benchmarks.workloads import PROGRAM, PROGRAM_OF_SINGLES, Workload, read_mapping, single
from worker.celery import app

POLL_SECONDS = 0.001
"""How often the result table is looked at: what a latency may be too long by."""
WARM_UP_JOBS = 20
LARGE_JOBS = 3
"""Large jobs started, at most, to have enough small ones beside them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Seconds that jobs of one learner took, one after the other."""

    seconds: tuple[float, ...]

    @property
    def p50(self) -> float:
        """Half of the jobs took at most so many seconds."""
        return statistics.median(self.seconds)

    @property
    def p99(self) -> float:
        """All but one job in a hundred took at most so many seconds."""
        return sorted(self.seconds)[max(0, -(-len(self.seconds) * 99 // 100) - 1)]


def measure_alone(databases: Databases, jobs: int) -> Latency:
    """Measure ``jobs`` jobs on an idle worker that is warm."""
    databases.restore(Workload.FRESH)
    with databases.connect() as connection:
        Worker().warm_up(connection)
        numbers = count()
        for _ in range(WARM_UP_JOBS):
            _time_one(connection, next(numbers))
        return Latency(seconds=tuple(_time_one(connection, next(numbers)) for _ in range(jobs)))


def measure_beside(databases: Databases, jobs: int, size: int) -> Latency:
    """Measure ``jobs`` jobs while the worker has a job of ``size`` learners; fewer where there was no time for more."""
    seconds: list[float] = []
    for _ in range(LARGE_JOBS):
        databases.restore(Workload.FRESH)
        with databases.connect() as connection:
            Worker().warm_up(connection)
            seconds.extend(_beside_one(connection, size, jobs - len(seconds)))
        if len(seconds) >= jobs:
            break
    return Latency(seconds=tuple(seconds))


def _beside_one(connection: psycopg.Connection, size: int, jobs: int) -> Iterator[float]:
    large = send(app, TASK, PROGRAM, read_mapping(connection, size))
    for number in range(jobs):
        if _is_done(connection, large):
            break
        yield _time_one(connection, number)
    wait_for_result(connection, large)


def _time_one(connection: psycopg.Connection, number: int) -> float:
    began = time.perf_counter()
    wait_for_result(connection, send(app, TASK, PROGRAM_OF_SINGLES, single(number)), every=POLL_SECONDS)
    return time.perf_counter() - began


def _is_done(connection: psycopg.Connection, task_id: str) -> bool:
    sql = "SELECT 1 FROM django_celery_results_taskresult WHERE task_id = %s AND status = 'SUCCESS'"
    return connection.execute(sql, [task_id]).fetchone() is not None
