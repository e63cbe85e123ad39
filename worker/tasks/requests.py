"""The requests of callers: each becomes a job."""

import random
from typing import Any
from uuid import UUID

from celery import Task
from celery.utils.time import get_exponential_backoff_interval

from worker import dispatch, jobs
from worker.celery.application import app
from worker.celery.messages import REQUEST
from worker.celery.request import RequestTask
from worker.exceptions import JobError, JobFailedError, JobRefusedError
from worker.jobs.request import parse_link_request, parse_undo_request
from worker.logs import log_job_ended
from worker.models import LinkingJob

MAX_CHECK_INTERVAL = 30
"""Maximum seconds between checks on the job that holds the idempotency key."""
REPLY = ("id", "callbacks", "errbacks", "chain", "chord", "group", "group_index", "root_id", "parent_id")
"""Fields of a request that say what the caller wants done with the result; its id may be any spelling of a UUID."""


@app.task(
    bind=True,
    base=RequestTask,
    name=REQUEST,
    throws=(ValueError, JobError),  # The caller's to correct: no traceback in the log.
)
def link_program_enrollments(self: RequestTask, /, *args: Any, **kwargs: Any) -> jobs.Errors | None:
    """Link a mapping; see docs/contract.md for arguments, result and errors."""
    request = parse_link_request(args, kwargs)
    job_id = _job_id(self)
    try:
        job = jobs.submit(job_id, request, _reply(self), begin=True)
    except JobRefusedError:
        for refused in LinkingJob.objects.filter(pk=job_id):  # None if the key is that of a job refused before.
            log_job_ended(refused)
        raise
    if job.pk != job_id:
        return _wait_for(self, job)
    _become(self, job)
    return None


@app.task(bind=True, base=RequestTask, name="linking.undo_job", throws=(ValueError, JobError))
def undo_job(self: RequestTask, /, *args: Any, **kwargs: Any) -> None:
    """Undo what a job changed, as a job of its own; see docs/contract.md for result and errors."""
    source, dry_run = parse_undo_request(args, kwargs)
    _become(self, jobs.submit_undo(_job_id(self), source, dry_run=dry_run, reply=_reply(self)))


# Its counts are in the ledger, and no one asks for its result; operators look for its failures.


def _become(task: RequestTask, job: LinkingJob) -> None:
    """Dispatch the job of a request; the end of the job, under the same task id, has the result."""
    with dispatch.left_to_recovery(job.pk):
        dispatch.dispatch(job)
    task.leave_to_job()


def _wait_for(task: Task[Any, Any], job: LinkingJob) -> jobs.Errors:
    """Return the error dictionary of the job that holds the idempotency key; retry until there is one."""
    # Each retry sends the whole mapping, so the interval grows with the time that the job takes.
    interval = get_exponential_backoff_interval(2, task.request.retries, MAX_CHECK_INTERVAL, full_jitter=False)
    countdown = interval * random.uniform(0.5, 1)  # noqa: S311 - jitter, not secrecy
    if job.notified is None:  # Also true of a cancelled job with open learners.
        raise task.retry(countdown=countdown)
    if job.state == LinkingJob.State.FAILED:
        raise JobFailedError(job.message)
    errors, _ = jobs.error_dictionary(job)
    try:
        dispatch.send_callbacks(str(task.request.id), _reply(task), errors)
    except Exception:  # noqa: BLE001 - kombu raises many: the broker is away
        raise task.retry(countdown=countdown) from None
    task.request.callbacks = task.request.chain = None  # Celery would fail the task if one of them cannot be sent.
    return errors


def _reply(task: Task[Any, Any]) -> dict[str, Any]:
    return {name: value for name in REPLY if (value := getattr(task.request, name, None)) is not None}


def _job_id(task: Task[Any, Any]) -> UUID:
    try:
        return UUID(task.request.id)
    except (TypeError, ValueError):
        msg = f"task id {task.request.id!r} is not a UUID: leave it to Celery, or send a UUID; it becomes the job's id."
        raise ValueError(msg) from None
