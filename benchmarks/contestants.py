"""The five contestants behind one face: warm up, link a mapping, say which job it was."""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

import psycopg
from celery import Celery, states
from django.conf import settings
from django.db import connection as django_connection

from benchmarks import floor, naive, sequential
from benchmarks.workloads import EMPTY_PROGRAM
from devservers import WorkerProcess
from linking.api import link_program_enrollments
from worker.celery import app as worker_app

TASK = "linking.link_program_enrollments"
POLL_SECONDS = 0.01
"""How often the result table is looked at; it costs a thousandth of a core and adds half of this on average."""
PATIENCE = 900.0
"""Seconds until a result that does not come counts as lost."""
WARM_UP = {f"nobody-{number}": f"nobody-{number}" for number in range(8)}
"""A mapping that touches nothing, in several messages: every process gets some."""


class BenchmarkError(Exception):
    """A contestant did not do its work."""


class Contestant(ABC):
    """Someone who can link a mapping.

    Attributes:
        letter, name: how the tables call it.
        largest: learners that it is measured on at most; None for any number.
    """

    letter: str
    name: str
    largest: int | None = None

    @abstractmethod
    def run(self, connection: psycopg.Connection, program: UUID, mapping: Mapping[str, str]) -> str | None:
        """Link ``mapping``; return the job's id where the ledger knows one. ``connection`` is fresh and idle."""

    def warm_up(self, connection: psycopg.Connection) -> None:
        """Do once what only the first mapping would pay for: connect, plan, import."""
        self.run(connection, EMPTY_PROGRAM, WARM_UP)


class Sequential(Contestant):
    """One after the other, in this process."""

    letter, name = "A", "sequential"

    def run(self, connection: psycopg.Connection, program: UUID, mapping: Mapping[str, str]) -> None:
        """Link through Django's own connection."""
        sequential.link_program_enrollments(program, mapping)


class Engine(Contestant):
    """The engine in this process, without worker or ledger."""

    letter, name = "C", "engine"

    def run(self, connection: psycopg.Connection, program: UUID, mapping: Mapping[str, str]) -> None:
        """Link through Django's own connection."""
        link_program_enrollments(program, mapping)


class Floor(Contestant):
    """Hand-written SQL on one connection."""

    letter, name = "E", "floor"

    def run(self, connection: psycopg.Connection, program: UUID, mapping: Mapping[str, str]) -> str:
        """Link through ``connection``."""
        job_id = uuid4()
        floor.link_program_enrollments(connection, job_id, program, mapping, slice_size(len(mapping)))
        return str(job_id)


class ByMessage(Contestant):
    """A Celery application with a worker of its own: from ``send_task`` to the stored result."""

    app: Celery
    task: str

    def run(self, connection: psycopg.Connection, program: UUID, mapping: Mapping[str, str]) -> str:
        """Send the mapping and wait for the result."""
        task_id = send(self.app, self.task, program, mapping)
        wait_for_result(connection, task_id)
        return task_id


class NaiveChord(ByMessage):
    """A Celery subtask per learner."""

    letter, name = "B", "naive chord"
    app, task = naive.app, naive.LINK

    def run(self, connection: psycopg.Connection, program: UUID, mapping: Mapping[str, str]) -> None:  # type: ignore[override]
        """Send the mapping and wait for the result; there is no ledger."""
        super().run(connection, program, mapping)


class Worker(ByMessage):
    """The worker, end to end."""

    letter, name = "D", "worker"
    app, task = worker_app, TASK


class NaiveWorker(WorkerProcess):
    """A real worker of the naive application."""

    name = "naive-worker"

    def command(self) -> Sequence[str]:
        """Return the call of ``celery`` with the other application."""
        command = [*super().command()]
        command[command.index("-A") + 1] = "benchmarks.naive"
        return command


def slice_size(total: int) -> int:
    """Return learners per slice as the worker cuts a mapping of ``total``."""
    return min(max(math.ceil(total / settings.LINKING_MAX_SUBTASKS), 1), settings.LINKING_MAX_SLICE)


def send(app: Celery, task: str, program: UUID, mapping: Mapping[str, str], **options: Any) -> str:
    """Send a mapping, with the task's own ``options``; return the task id."""
    task_id = str(uuid4())
    app.send_task(task, (str(program), mapping), options, task_id=task_id)
    return task_id


def wait_for_result(connection: psycopg.Connection, task_id: str, every: float = POLL_SECONDS) -> Any:
    """Wait until the result of a task is stored, looking ``every`` so many seconds.

    Raises:
        BenchmarkError: the task failed, or takes too long.
    """
    deadline = time.monotonic() + PATIENCE
    sql = "SELECT status, result FROM django_celery_results_taskresult WHERE task_id = %s"
    while time.monotonic() < deadline:
        row = connection.execute(sql, [task_id], prepare=True).fetchone()
        if row is not None and row[0] in states.READY_STATES:
            if row[0] != states.SUCCESS:
                msg = f"task {task_id} ended with {row[0]}: {row[1]}"
                raise BenchmarkError(msg)
            return row[1]
        time.sleep(every)
    msg = f"task {task_id} has no result after {PATIENCE:.0f} s"
    raise BenchmarkError(msg)


def forget_connections() -> None:
    """Close Django's connection of this process; the next query opens another."""
    django_connection.close()
