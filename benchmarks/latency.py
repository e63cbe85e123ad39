"""The latency of a job of one learner, from ``send_task`` to its stored result: alone, and beside a large job."""

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import psycopg

from benchmarks.interface import Databases
from benchmarks.variants import TASK, Worker, is_done, send, wait_for_result
from benchmarks.workloads import PROGRAM, PROGRAM_OF_SINGLES, Workload, read_mapping, single
from worker.celery import app

POLL_SECONDS = 0.001
"""Seconds between two queries of the result table: the error of a latency."""
WARM_UP_JOBS = 20
LARGE_JOBS = 3
"""Maximum number of large jobs that are run to measure enough small jobs beside them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Seconds of each job of one learner; ``where`` names what ran beside them."""

    where: str
    seconds: tuple[float, ...]

    @property
    def p50(self) -> float:
        """The median in seconds."""
        return statistics.median(self.seconds)

    @property
    def p99(self) -> float:
        """The 99th percentile in seconds."""
        return sorted(self.seconds)[-(-len(self.seconds) * 99 // 100) - 1]


def measure(databases: Databases, jobs: int, size: int) -> Iterator[Latency]:
    """Measure ``jobs`` jobs on a warm worker: alone, and beside a job of ``size`` learners.

    Beside large jobs fewer are measured if the large jobs end too early.
    """
    databases.restore(Workload.FRESH)
    with databases.connect() as connection:
        Worker().warm_up(connection)
        singles = [single(number) for number in range(WARM_UP_JOBS + jobs)]
        seconds = [time_one(connection, PROGRAM_OF_SINGLES, *learner) for learner in singles]
        yield Latency(where="alone", seconds=tuple(seconds[WARM_UP_JOBS:]))
    for same_program in (False, True):
        seconds = []
        for _ in range(LARGE_JOBS):
            if len(seconds) < jobs:
                databases.restore(Workload.FRESH)
                with databases.connect() as connection:
                    Worker().warm_up(connection)
                    seconds.extend(_beside(connection, jobs - len(seconds), size, same_program=same_program))
        which = "of the same program" if same_program else "of another program"
        yield Latency(where=f"beside a job of {size:,} {which}", seconds=tuple(seconds))


def _beside(connection: psycopg.Connection, jobs: int, size: int, *, same_program: bool) -> Iterator[float]:
    learners = list(read_mapping(connection, size).items())
    program, singles = PROGRAM_OF_SINGLES, [single(number) for number in range(jobs)]
    if same_program:
        program, singles, learners = PROGRAM, learners[-jobs:], learners[:-jobs]
    large = send(app, TASK, PROGRAM, dict(learners))
    for learner in singles:
        if is_done(connection, large):
            break
        yield time_one(connection, program, *learner)
    wait_for_result(connection, large)


def time_one(connection: psycopg.Connection, program: UUID, key: str, username: str) -> float:
    """Return the seconds that a job of one learner takes."""
    began = time.perf_counter()
    wait_for_result(connection, send(app, TASK, program, {key: username}), every=POLL_SECONDS)
    return time.perf_counter() - began
