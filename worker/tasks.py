"""The tasks: decode the message, call one function, encode the answer. Their names are a contract with every caller."""

import logging
import math
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

from celery import Task, chord, group, signature, states
from celery.exceptions import Ignore, TaskPredicate
from celery.utils import uuid
from celery.utils.time import get_exponential_backoff_interval
from django.conf import settings
from django.db import InterfaceError, InternalError, OperationalError

from worker import jobs
from worker.celery import app
from worker.celery.backend import forget_chords
from worker.celery.request import RedactedTask
from worker.exceptions import JobError, JobFailedError, JobRefusedError
from worker.imports import inbox
from worker.imports.folder import list_settled, prepare_inbox
from worker.imports.submission import jobs_of
from worker.jobs.purge import purge_expired
from worker.jobs.recovery import claim_stalled_jobs
from worker.jobs.request import LinkRequest, parse_link_request, parse_undo_request
from worker.jobs.slices import run_slice
from worker.logs import log_job_ended, log_slice_finished
from worker.models import InboxFile, LinkingJob

log = logging.getLogger(__name__)

SLICE_PRIORITIES = {100: 0, 10_000: 3, math.inf: 6}
"""Priority of the slices of a job by the learners it has at most; steps of 3 are what kombu's Redis queues have."""

OUTAGES = (OperationalError, InterfaceError, InternalError)

WAIT_OUT_OUTAGES: dict[str, Any] = {
    # The database is away or restarting: come back later, for as long as it takes. Delays in seconds.
    "autoretry_for": OUTAGES,
    "retry_backoff": 1,
    "retry_backoff_max": 60,
    "retry_jitter": True,
    "max_retries": None,
}


LONGEST_PAUSE = 30
"""Seconds between two looks whether the job is done that an idempotency key stands for, at most."""
IMPORT_SECONDS = 4 * 3600
"""How long a task may take that reads files or writes reports. Others that get its message again find it at work."""
LOOK_AGAIN = 60
"""Seconds after which the inbox is looked into again where a file was still growing."""
LOOKS = 10
"""How often it is looked into in one night."""


@app.task(
    bind=True,
    base=RedactedTask,
    name="linking.link_program_enrollments",
    throws=(ValueError, JobError),  # The caller's to mend: no traceback in our log.
    **WAIT_OUT_OUTAGES,
)
def link_program_enrollments(self: Task[Any, Any], /, *args: Any, **kwargs: Any) -> jobs.Errors:
    """Link a mapping; see ``jobs.md`` for arguments, result and errors."""
    order = parse_link_request(args, kwargs)
    job_id = _job_id(_task_id(self))
    try:
        job = jobs.submit(job_id, order, _reply(self))
    except JobRefusedError:
        for refused in LinkingJob.objects.filter(pk=job_id):  # Not where the key is that of a job refused before.
            log_job_ended(refused)
        raise
    if job.id != job_id:
        return _answer_of(self, job)
    return _send_out(self, job)


@app.task(bind=True, base=RedactedTask, name="linking.undo_job", throws=(ValueError, JobError), **WAIT_OUT_OUTAGES)
def undo_job(self: Task[Any, Any], /, *args: Any, **kwargs: Any) -> jobs.Errors:
    """Take back what a job changed, as a job of its own; see ``jobs.md`` for result and errors."""
    source, dry_run = parse_undo_request(args, kwargs)
    job = jobs.submit_undo(_job_id(_task_id(self)), source, dry_run=dry_run, reply=_reply(self))
    return _send_out(self, job)


def _send_out(task: Task[Any, Any], job: LinkingJob) -> jobs.Errors:
    """Let the caller's task become the chord of the job's slices."""
    if job.dispatched is not None or jobs.must_wait(job):
        # A redelivery of what is under way already, or done; or whoever ends the job before this one sends its slices.
        raise Ignore
    # The ledger knows whom to answer: the replacement must not answer them too.
    task.request.callbacks = task.request.chain = None
    priority = _priority_of_slices(job)
    try:
        jobs.start(job, relies_on_chord=True)
        parts = [link_learners.si(str(job.id), number).set(priority=priority) for number in jobs.open_slices(job)]
    except JobRefusedError:
        parts = []
    if not parts:
        return _finish(task, job.id)
    canvas = chord(parts, finish_job.si(str(job.id)))
    # The id of the chord's counter: it tells the job, so that it can be deleted with it; and it is unique among the
    # dispatches of a job, since one that died half-way must not share a counter with the next.
    canvas.tasks = group(parts, task_id=f"{job.id}:{uuid()}")  # type: ignore[misc] # celery-types knows no setter
    try:
        with _left_to_recovery(job.id):
            return task.replace(canvas)
    except Ignore:
        jobs.note_dispatched(job)
        raise


@app.task(bind=True, name="linking.link_learners", **WAIT_OUT_OUTAGES)
def link_learners(self: Task[Any, Any], job_id: str, slice: int) -> dict[str, int]:
    """Link the learners of one slice; return them by outcome."""
    begun = time.monotonic()
    run = run_slice(UUID(job_id), slice)
    if not run.finished:
        raise self.retry(countdown=0, max_retries=None)
    if run.settled:
        log_slice_finished(UUID(job_id), slice, run.counts, seconds=time.monotonic() - begun)
    if run.ends_job:
        with suppress(Ignore), _left_to_recovery(UUID(job_id)):
            answer(UUID(job_id))
    return run.counts


@app.task(bind=True, base=RedactedTask, name="linking.finish_job", throws=(JobError,), **WAIT_OUT_OUTAGES)
def finish_job(self: Task[Any, Any], job_id: str) -> jobs.Errors:
    """End a job: its error dictionary becomes the result of the caller's task."""
    return _finish(self, UUID(job_id))


@app.task(name="linking.resume_stalled_jobs", ignore_result=True, **WAIT_OUT_OUTAGES)
def resume_stalled_jobs() -> list[str]:
    """Take up the jobs that stand still, whatever their messages came to; return their ids."""
    taken = claim_stalled_jobs()
    for job in taken:
        log.warning("job %s stood still: taken up again (%s in a row)", job.id, job.resumes)
        _send_slices(job)
    if inbox.has_open_files():
        attend_inbox.apply_async(expires=30)
    return [str(job.id) for job in taken]


@app.task(name="linking.purge_expired_jobs", **WAIT_OUT_OUTAGES)
def purge_expired_jobs() -> dict[str, int]:
    """Remove the learners of jobs that ended long ago; return how much was removed."""
    removed, is_all = purge_expired()
    if not is_all:
        purge_expired_jobs.apply_async(countdown=1)
    return removed


@app.task(bind=True, name="linking.import_inbox", time_limit=IMPORT_SECONDS, **WAIT_OUT_OUTAGES)
def import_inbox(self: Task[Any, Any]) -> list[dict[str, Any]]:
    """Take up the files in the inbox; return their names, and the ids of their jobs."""
    if settings.LINKING_INBOX is None:
        log.info("LINKING_INBOX is not set: there is nothing to import")
        return []
    folder = prepare_inbox()
    settled, growing = list_settled(folder)
    files = [_start(file) for file in inbox.claim_files(folder, settled)]
    if growing and self.request.retries < LOOKS:
        again: dict[str, Any] = {"countdown": LOOK_AGAIN, "retries": self.request.retries + 1}
        self.apply_async(**again)
    return files


@app.task(name="linking.attend_inbox", ignore_result=True, time_limit=IMPORT_SECONDS, **WAIT_OUT_OUTAGES)
def attend_inbox() -> None:
    """Bring on the files that were taken up: those whose worker died, and those whose jobs have ended."""
    if settings.LINKING_INBOX is None:
        log.error("LINKING_INBOX is not set, and files were taken up from it: set it for every worker")
        return
    for file in inbox.advance_files(prepare_inbox()):
        _start(file)


def _start(file: InboxFile) -> dict[str, Any]:
    """Have the jobs of a file run; return its name and their ids.

    Jobs that a broker which goes away keeps from being sent are taken up again: that must not keep the next file.
    """
    for job in jobs_of(file):
        with suppress(Ignore), _left_to_recovery(job.pk):
            send_job(job)
    told = {"file": file.name, "jobs": file.jobs}
    return told | {"message": file.message} if file.message else told


def _send_slices(job: LinkingJob) -> None:
    """Send the open slices of a job without a chord: whoever finishes the last one sends the end of the job."""
    ended = job.state in {LinkingJob.State.REFUSED, LinkingJob.State.FAILED}
    numbers = [] if ended else jobs.open_slices(job)
    for number in numbers:
        link_learners.apply_async((str(job.id), number), ignore_result=True, priority=_priority_of_slices(job))
    if not numbers:
        answer(job.id)


def answer(job_id: UUID) -> None:
    """Send the end of a job under its caller's task id, as part of whatever canvas the caller had it in."""
    reply = LinkingJob.objects.only("reply").get(pk=job_id).reply
    finish_job.apply_async(
        (str(job_id),),
        task_id=str(job_id),
        link_error=reply.get("errbacks"),
        chord=reply.get("chord"),
        group_id=reply.get("group"),
        group_index=reply.get("group_index"),
        root_id=reply.get("root_id"),
        parent_id=reply.get("parent_id"),
    )


def send_job(job: LinkingJob) -> None:
    """Send the slices of a job that is in the ledger already, unless it is under way or waits for another one.

    Raises:
        kombu.exceptions.OperationalError: the broker does not answer; the job is taken up when it does.
    """
    if job.is_final or job.dispatched is not None or jobs.must_wait(job):
        return
    try:
        jobs.start(job, relies_on_chord=False)
    except JobRefusedError:
        answer(job.id)
        return
    _send_slices(job)
    jobs.note_dispatched(job)


def send_order(job_id: UUID, order: LinkRequest) -> None:
    """Ask for a job, as any service does.

    Raises:
        kombu.exceptions.OperationalError: the broker does not answer.
    """
    mapping = {learner.external_user_key: learner.lms_username for learner in order.learners}
    arguments = (str(order.program_uuid), mapping)
    link_program_enrollments.apply_async(arguments, order.options, task_id=str(job_id))


def _reply(task: Task[Any, Any]) -> dict[str, Any]:
    """Return what the caller wants done with the answer, as the message has it."""
    names = ("callbacks", "errbacks", "chain", "chord", "group", "group_index", "root_id", "parent_id")
    return {name: value for name in names if (value := getattr(task.request, name, None)) is not None}


def _announce(job: LinkingJob, errors: jobs.Errors) -> None:
    """Call the caller's ``link=`` callbacks, and the next task of the chain it may have put the job into."""
    context = {"root_id": job.reply.get("root_id"), "parent_id": str(job.id)}
    for callback in job.reply.get("callbacks", ()):
        signature(dict(callback), app=app).apply_async((errors,), **context)
    if chain := job.reply.get("chain"):
        signature(dict(chain[-1]), app=app).apply_async((errors,), chain=chain[:-1], **context)


@contextmanager
def _left_to_recovery(job_id: UUID) -> Iterator[None]:
    """Leave a job that cannot be sent or answered now to ``resume_stalled_jobs``.

    The ledger has it: the caller must not be told of a failure. What a broker that goes away makes kombu raise is not
    always kombu's own error.
    """
    try:
        yield
    except (TaskPredicate, JobError, *OUTAGES):
        raise
    except Exception:
        log.exception("job %s could not be sent or answered; it is taken up again", job_id)
        raise Ignore from None


def _priority_of_slices(job: LinkingJob) -> int:
    """Return the priority of a job's slices (Redis takes the lowest number first): small jobs pass by large ones.

    Requests, ends of jobs and the sweeper have no priority, which is 0.
    """
    return next(priority for most, priority in SLICE_PRIORITIES.items() if job.total <= most)


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
    if job.notified is None:  # Cancelled, it may still have learners open.
        # The whole mapping is sent again each time: seldom, where the job takes long.
        pause = get_exponential_backoff_interval(2, task.request.retries, LONGEST_PAUSE, full_jitter=False)
        raise task.retry(countdown=pause * random.uniform(0.5, 1), max_retries=None)  # noqa: S311 - jitter, not secrecy
    if job.state == LinkingJob.State.FAILED:
        raise JobFailedError(job.message)
    errors, _ = jobs.error_dictionary(job)
    return errors


def _finish(task: Task[Any, Any], job_id: UUID) -> jobs.Errors:
    """End the job and answer its caller, once; the error dictionary becomes the task's result."""
    answered_here: LinkingJob | None = None

    def announce(job: LinkingJob, errors: jobs.Errors) -> None:
        nonlocal answered_here
        answered_here = job
        # In the transaction that marks the job as notified, since nobody looks for an notified job's result any more;
        # before the callbacks, since what fails after them calls them twice.
        task.backend.store_result(_task_id(task), errors, states.SUCCESS, request=task.request)
        _announce(job, errors)

    try:
        with _left_to_recovery(job_id):
            errors = jobs.finish(job_id, announce)
    except (JobFailedError, JobRefusedError):
        log_job_ended(LinkingJob.objects.get(pk=job_id))
        _release(job_id)
        raise
    if errors is None:
        log.warning("job %s cannot end yet: some of its slices are open", job_id)
        raise Ignore
    if answered_here:
        log_job_ended(answered_here)
    forget_chords(str(job_id))
    _release(job_id)
    if not answered_here and task.backend.get_state(_task_id(task)) == states.SUCCESS:
        # Ended by another delivery of this message.
        raise Ignore
    return errors


def _release(job_id: UUID) -> None:
    """Send the jobs that waited for this one alone."""
    for job in jobs.released_by(job_id):
        send_job(job)
