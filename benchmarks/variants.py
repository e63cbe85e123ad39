"""The five variants behind one interface: warm up, link a mapping, return the job's id."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from celery import Celery, states
from django_celery_results.models import TaskResult

from benchmarks import chord_per_learner, sequential
from benchmarks.interface import Connection
from benchmarks.workloads import EMPTY_PROGRAM
from devservers import WorkerProcess
from linking.api import link_program_enrollments
from worker.celery import app as worker_app
from worker.jobs.slicing import default_slice_size

TASK = "linking.link_program_enrollments"
POLL_SECONDS = 0.005
"""Seconds between two queries of the result table: 0.1% of a core, and on average half of it added to each time."""
POLL_SECONDS_PER_LEARNER = 1e-6
"""Seconds between them for each learner of a mapping, where that is longer: the queries take time of both cores."""
RESULT_TIMEOUT = 900.0
"""Seconds until a missing result counts as lost."""
WARM_UP = {f"missing-{number}": f"missing-{number}" for number in range(8)}
"""A mapping without matching rows; it makes several subtasks, so that every process runs one."""


class BenchmarkError(Exception):
    """A variant failed."""


class Variant(ABC):
    """A way to link a mapping.

    Attributes:
        letter, name: its name in the tables.
    """

    letter: str
    name: str

    @abstractmethod
    def run(self, connection: Connection, program: UUID, mapping: Mapping[str, str]) -> str | None:
        """Link ``mapping``; return the job's id if the ledger has one. ``connection`` is new and idle."""

    def warm_up(self, connection: Connection) -> None:
        """Link a mapping without matching rows, so that connections, plans and imports are not measured."""
        self.run(connection, EMPTY_PROGRAM, WARM_UP)


class Sequential(Variant):
    """One learner after the other, in this process."""

    letter, name = "A", "sequential"

    def run(self, connection: Connection, program: UUID, mapping: Mapping[str, str]) -> None:
        """Link through Django's own connection."""
        sequential.link_program_enrollments(program, mapping)


class Engine(Variant):
    """The engine in this process, without worker and ledger."""

    letter, name = "C", "engine"

    def run(self, connection: Connection, program: UUID, mapping: Mapping[str, str]) -> None:
        """Link through Django's own connection."""
        link_program_enrollments(program, mapping)


class HandwrittenSql(Variant):
    """Hand-written SQL on one connection: the module of the database."""

    letter, name = "E", "hand-written SQL"

    def __init__(self, module: Any) -> None:
        self._module = module

    def run(self, connection: Connection, program: UUID, mapping: Mapping[str, str]) -> str:
        """Link through ``connection``."""
        job_id = uuid4()
        self._module.link_program_enrollments(connection, job_id, program, mapping, default_slice_size(len(mapping)))
        return str(job_id)


class ByMessage(Variant):
    """A Celery application with its own worker: from ``send_task`` to the stored result."""

    app: Celery
    task: str

    def run(self, connection: Connection, program: UUID, mapping: Mapping[str, str]) -> str:
        """Send the mapping and wait for the result."""
        task_id = send(self.app, self.task, program, mapping)
        wait_for_result(connection, task_id, max(POLL_SECONDS, len(mapping) * POLL_SECONDS_PER_LEARNER))
        return task_id


class ChordPerLearner(ByMessage):
    """A Celery subtask per learner."""

    letter, name = "B", "chord per learner"
    app, task = chord_per_learner.app, chord_per_learner.LINK

    def run(self, connection: Connection, program: UUID, mapping: Mapping[str, str]) -> None:  # type: ignore[override]
        """Send the mapping and wait for the result; this variant has no ledger."""
        super().run(connection, program, mapping)


class Worker(ByMessage):
    """The worker, end to end."""

    letter, name = "D", "worker"
    app, task = worker_app, TASK


class ChordWorker(WorkerProcess):
    """A worker of variant B."""

    name = "chord-worker"
    app = "benchmarks.chord_per_learner"


def send(app: Celery, task: str, program: UUID, mapping: Mapping[str, str], **options: Any) -> str:
    """Send a mapping with the task's ``options``; return the task id."""
    task_id = str(uuid4())
    app.send_task(task, (str(program), mapping), options, task_id=task_id)
    return task_id


def wait_for_result(connection: Connection, task_id: str, every: float = POLL_SECONDS) -> Any:
    """Wait until the result of a task is stored; query it ``every`` so many seconds.

    Raises:
        BenchmarkError: the task failed, or its result is missing after ``RESULT_TIMEOUT``.
    """
    deadline = time.monotonic() + RESULT_TIMEOUT
    sql = f"SELECT status, result FROM {TaskResult._meta.db_table} WHERE task_id = %s"  # noqa: SLF001 - its documented API
    while time.monotonic() < deadline:
        row = connection.execute(sql, [task_id]).fetchone()
        if row is not None and row[0] in states.READY_STATES:
            if row[0] != states.SUCCESS:
                msg = f"task {task_id} ended with {row[0]}: {row[1]}"
                raise BenchmarkError(msg)
            return row[1]
        time.sleep(every)
    msg = f"task {task_id} has no result after {RESULT_TIMEOUT:.0f} s"
    raise BenchmarkError(msg)


def is_done(connection: Connection, task_id: str) -> bool:
    """Return whether the result of a task is stored."""
    sql = "SELECT 1 FROM django_celery_results_taskresult WHERE task_id = %s AND status = 'SUCCESS'"
    return connection.execute(sql, [task_id]).fetchone() is not None
