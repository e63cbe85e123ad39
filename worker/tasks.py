"""The tasks: decode the message, call one function, encode the answer. Their names are a contract with every caller."""

import logging
import random
import time
from typing import Any
from uuid import UUID

from celery import Task, chord, group, signature, states
from celery.exceptions import Ignore
from celery.utils import uuid
from django.db import InterfaceError, OperationalError

from worker import jobs
from worker.celery import app
from worker.exceptions import JobError
from worker.models import LinkingJob
from worker.orders import read_order
from worker.requests import PrivateTask

log = logging.getLogger(__name__)

STORED_WITHIN = 2.0
"""Seconds from a subtask's last commit to its stored result, at most, unless it dies in between."""

WAIT_OUT_OUTAGES: dict[str, Any] = {
    # The database is away or restarting: come back later, for as long as it takes. Delays in seconds.
    "autoretry_for": (OperationalError, InterfaceError),
    "retry_backoff": 1,
    "retry_backoff_max": 60,
    "retry_jitter": True,
    "max_retries": None,
}


@app.task(
    bind=True,
    base=PrivateTask,
    name="linking.link_program_enrollments",
    throws=(ValueError, JobError),  # The caller's to mend: no traceback in our log.
    **WAIT_OUT_OUTAGES,
)
def link_program_enrollments(self: Task[Any, Any], /, *args: Any, **kwargs: Any) -> jobs.Errors:
    """Link a mapping; see ``jobs.md`` for arguments, result and errors."""
    order = read_order(args, kwargs)
    job_id = _job_id(_task_id(self))
    job = jobs.submit(job_id, order)
    if job.id != job_id:
        return _answer_of(self, job)
    if job.dispatched is not None:
        # A redelivery of what is under way already, or done.
        raise Ignore
    jobs.start(job)
    parts = [link_learners.si(str(job.id), number) for number in jobs.open_slices(job)]
    if not parts:
        return _finish(self, job.id)
    # Unique among the dispatches of a job: one that died half-way must not share a chord counter with the next.
    header = group(parts, task_id=f"{job.id}:{uuid()}")
    try:
        return self.replace(chord(header, finish_job.si(str(job.id))))
    except Ignore:
        jobs.note_dispatched(job)
        raise


@app.task(bind=True, name="linking.link_learners", **WAIT_OUT_OUTAGES)
def link_learners(self: Task[Any, Any], job_id: str, slice: int) -> dict[str, int]:
    """Link the learners of one slice; return them by outcome."""
    run = jobs.run_slice(UUID(job_id), slice, worked_by=_task_id(self))
    if not run.settled and run.finished_by == _task_id(self) and _is_stored(self):
        # An earlier delivery of this very message did the work: its chord must not count it twice.
        raise Ignore
    return run.counts


@app.task(bind=True, base=PrivateTask, name="linking.finish_job", **WAIT_OUT_OUTAGES)
def finish_job(self: Task[Any, Any], job_id: str) -> jobs.Errors:
    """End a job: its error dictionary becomes the result of the caller's task."""
    return _finish(self, UUID(job_id))


def _is_stored(task: Task[Any, Any]) -> bool:
    """Tell whether an earlier delivery of the message has stored its result: right after, it counts in its chord."""
    deadline = time.monotonic() + STORED_WITHIN
    while task.backend.get_state(_task_id(task)) != states.SUCCESS:
        if time.monotonic() > deadline:
            return False  # It died in between: this delivery counts in its place.
        time.sleep(0.05)
    return True


def _task_id(task: Task[Any, Any]) -> str:
    return task.request.id or ""


def _job_id(task_id: str) -> UUID:
    try:
        return UUID(task_id)
    except ValueError:
        msg = f"task id {task_id!r} is not a UUID: leave it to Celery, or send a UUID; it becomes the job's id."
        raise ValueError(msg) from None


def _answer_of(task: Task[Any, Any], job: LinkingJob) -> jobs.Errors:
    """Return the error dictionary of the job that an idempotency key stands for, waiting for it without a process."""
    if not job.is_final:
        raise task.retry(countdown=random.uniform(1, 3), max_retries=None)  # noqa: S311 - jitter, not secrecy
    errors, _ = jobs.error_dictionary(job)
    return errors


def _finish(task: Task[Any, Any], job_id: UUID) -> jobs.Errors:
    """End the job and return its error dictionary; call the callbacks and go on with the chain of the caller, once."""
    announced = False
    family: dict[str, Any] = {"root_id": task.request.root_id, "parent_id": task.request.id}
    chain: Any = task.request.chain

    def announce(errors: jobs.Errors) -> None:
        nonlocal announced
        announced = True
        for callback in task.request.callbacks or ():
            signature(dict(callback), app=app).apply_async((errors,), **family)
        if chain:
            *later, following = chain  # Celery keeps the next one last.
            signature(dict(following), app=app).apply_async((errors,), chain=later, **family)

    errors = jobs.finish(job_id, announce)
    if errors is None:
        log.warning("job %s cannot end yet: some of its slices are open", job_id)
        raise Ignore
    if not announced and task.backend.get_state(_task_id(task)) == states.SUCCESS:
        # Ended by another delivery of this message.
        raise Ignore
    task.request.callbacks = task.request.chain = None  # Called already, or by whoever ended the job.
    return errors
