"""The tasks: decode the message, call one function, encode the result. Their names are a contract with every caller."""

import logging
import random
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from celery import Task, states
from celery.exceptions import Ignore
from celery.utils.time import get_exponential_backoff_interval
from django.conf import settings

from linking import events
from worker import dispatch, jobs
from worker.celery.application import app
from worker.celery.messages import ACKNOWLEDGE, DELIVER, END, FORGET, MARKER, REFUSE, REQUEST, RESUMED, SLICE
from worker.celery.request import RedactedTask, RequestTask
from worker.events import request_delivery, send_events
from worker.exceptions import JobError, JobFailedError, JobRefusedError
from worker.imports import inbox
from worker.imports.folder import list_inbox, prepare_inbox
from worker.imports.forgetting import ForgottenFiles, forget_in_files
from worker.imports.left import report_left
from worker.imports.submission import jobs_of
from worker.jobs.forgetting import forget
from worker.jobs.pauses import describe_pause, forget_pauses_of_ended_jobs, parse_pause_request
from worker.jobs.person import Person
from worker.jobs.purge import purge_expired
from worker.jobs.recovery import claim_stalled_jobs, note_resent, routes_in_use
from worker.jobs.request import parse_link_request, parse_undo_request
from worker.jobs.routing import note_marker
from worker.jobs.slices import run_slice
from worker.jobs.totals import advance_totals
from worker.logs import log_job_ended, log_slice_finished
from worker.models import Cursor, InboxFile, LinkingJob, Pause
from worker.queue_names import EVENTS, RECOVERY

if TYPE_CHECKING:
    from worker.celery.results import LedgerResults

log = logging.getLogger(__name__)

MAX_CHECK_INTERVAL = 30
"""Maximum seconds between checks on the job that holds the idempotency key."""
IMPORT_TIME_LIMIT = 4 * 3600
"""Time limit in seconds for tasks that read files or write reports. A redelivery meanwhile finds the files leased."""
INBOX_CHECK_INTERVAL = 60
"""Seconds between checks of an inbox in which a file is still growing."""
MAX_INBOX_CHECKS = 10
"""Checks of such an inbox in one night."""
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
@app.task(bind=True, name=SLICE, ignore_result=True, store_errors_even_if_ignored=True)
def link_learners(self: Task[Any, Any], job_id: str, slice: int) -> dict[str, int]:
    """Link the learners of one slice; return their number by outcome."""
    began = time.monotonic()
    run = run_slice(UUID(job_id), slice)
    if run.is_paused:
        log.info("slice %s of job %s waits in the ledger: the job is paused", slice, job_id)
        return {}
    if not run.finished:
        raise self.retry(countdown=0)
    if run.processed:
        log_slice_finished(UUID(job_id), slice, run.counts, seconds=time.monotonic() - began)
    return run.counts


@app.task(bind=True, base=RedactedTask, name=END, throws=(JobError,))
def finish_job(self: Task[Any, Any], job_id: str) -> jobs.Errors:
    """End a job: its error dictionary becomes the result of the caller's task."""
    ended: list[LinkingJob] = []
    task_id = self.request.id or job_id

    def notify(job: LinkingJob, errors: jobs.Errors) -> None:
        ended.append(job)
        if job.state in {LinkingJob.State.DONE, LinkingJob.State.CANCELLED}:
            # In the transaction that marks the job as notified: recovery does not look at notified jobs. Before the
            # callbacks: a failure after them would send them twice.
            self.backend.store_result(task_id, errors, states.SUCCESS, request=self.request)
            dispatch.send_callbacks(str(job.pk), job.reply, errors)

    with dispatch.left_to_recovery(UUID(job_id)):
        end = jobs.finish(UUID(job_id), notify)
    if end is None:
        log.info("job %s cannot end yet: some of its slices are open", job_id)  # It was cancelled while they run.
        raise Ignore
    for job in ended:
        log_job_ended(job)
        request_delivery()
    dispatch.dispatch_all(end.released)
    if not ended and self.backend.get_state(task_id) in states.READY_STATES:
        raise Ignore  # Another delivery of this message ended the job.
    if end.failure:
        raise end.failure
    if ended:
        self.request.ignore_result = True  # It is stored.
    return end.errors


@app.task(name="linking.resume_stalled_jobs", ignore_result=True)
def resume_stalled_jobs(after: Cursor | None = None) -> list[str]:
    """Send the open slices of stalled jobs again; return the ids of these jobs.

    A run is bounded: it sends a message for the next one, which continues ``after`` the last job that it looked at.
    """
    if after is None:
        dispatch.send_markers(routes_in_use())
        advance_totals()
        forget_pauses_of_ended_jobs()
    stalled, after = claim_stalled_jobs(after)
    for job in stalled:
        log.warning("job %s stalled: its open slices are sent again (%s in a row)", job.pk, job.resumes)
        dispatch.send(job)
        note_resent(job)
    if after is not None:
        resume_stalled_jobs.apply_async((after,), queue=RECOVERY)
    elif inbox.has_open_files():
        attend_inbox.apply_async(expires=30)
    return [str(job.pk) for job in stalled]


@app.task(bind=True, name="linking.pause", throws=(ValueError, JobError))
def pause(self: Task[Any, Any], /, *args: Any, **kwargs: Any) -> dict[str, str]:
    """Pause a job, a program or everything; see docs/contract.md for arguments, result and errors."""
    request = parse_pause_request(args, kwargs, service=str(self.request.origin or "a task"))
    made = jobs.pause(request.kind, request.target, paused_by=request.by, reason=request.reason)
    return describe_pause(made)


@app.task(bind=True, name="linking.resume", throws=(ValueError, JobError))
def resume(self: Task[Any, Any], /, *args: Any, **kwargs: Any) -> dict[str, str]:
    """Remove a pause and dispatch its jobs; see docs/contract.md for arguments, result and errors."""
    request = parse_pause_request(args, kwargs, service=str(self.request.origin or "a task"))
    removed = jobs.resume(request.kind, request.target, resumed_by=request.by)
    dispatch.send_resumed(removed)
    return {"resumed": removed.subject}


@app.task(name=RESUMED, ignore_result=True)
def dispatch_resumed(kind: str, target: str, after: Cursor | None = None) -> None:
    """Dispatch the jobs that a removed pause held."""
    dispatch.dispatch_held(Pause(kind=kind, target=UUID(target)), after)


@app.task(name=MARKER, ignore_result=True)
def note_received_marker(route: str, sent: str) -> None:
    """Write that a marker was received: all messages that were sent before it through its route were delivered."""
    note_marker(route, datetime.fromisoformat(sent))


@app.task(name=DELIVER, ignore_result=True, time_limit=events.TIME_LIMIT)
def deliver_events() -> None:
    """Deliver events for some seconds, unless another process does."""
    if not settings.LINKING_EVENTS:
        return
    done = events.deliver(send_events if settings.LINKING_EVENTS_TASK else None)
    if done is not None and done.more:
        deliver_events.apply_async(queue=EVENTS)  # Behind what waits by now.


@app.task(name=ACKNOWLEDGE, ignore_result=True, throws=(ValueError,))
def acknowledge_events(batch: str) -> None:
    """Remove the events of a batch, which the task of ``LINKING_EVENTS_TASK`` has processed."""
    if events.acknowledge(UUID(batch)):
        request_delivery()


@app.task(name=REFUSE, ignore_result=True, throws=(ValueError,))
def refuse_events(batch: str) -> None:
    """Try the events of a batch again, each alone: the task of ``LINKING_EVENTS_TASK`` has failed."""
    if events.refuse(UUID(batch), f"the task {settings.LINKING_EVENTS_TASK} failed (batch {batch})"):
        log.warning("batch %s of events was refused: its events are sent again, each alone", batch)


@app.task(name="linking.purge_expired_jobs")
def purge_expired_jobs() -> dict[str, int]:
    """Remove the learners of jobs that ended long ago; return how much was removed."""
    removed, is_all = purge_expired()
    if not is_all:
        purge_expired_jobs.apply_async(countdown=1)
    return removed


@app.task(bind=True, base=RedactedTask, name=FORGET, throws=(ValueError, JobError), time_limit=IMPORT_TIME_LIMIT)
def forget_learner(self: Task[Any, Any], *names: str) -> dict[str, Any]:
    """Remove a person from the ledger, the results and the files of the inbox; return what was changed.

    ``names`` are the person's external user keys and usernames.

    Raises:
        ValueError: there is no name, or one is no text or is empty.
        JobError: open jobs or files that wait for their import name the person; all else was forgotten.
    """
    person = Person(*names)
    forgotten, files = forget(person), ForgottenFiles()
    cast("LedgerResults", self.backend).drop_results(forgotten.jobs)
    if settings.LINKING_INBOX is not None:
        files = forget_in_files(prepare_inbox(), person)
    places = [f"job {job_id} is open" for job_id in sorted(forgotten.open_jobs)]
    places += [f"file {name!r} waits for its import" for name in files.waiting]
    if places:
        msg = f"the person is still named: {'; '.join(places)}. Wait for it or remove it, then forget the person again."
        raise JobError(msg)
    return {
        "learners": forgotten.learners,
        "mentions": forgotten.mentions,
        "results": forgotten.results,
        "files": files.changed,
        "unreadable": files.unreadable,
    }


@app.task(bind=True, name="linking.import_inbox", time_limit=IMPORT_TIME_LIMIT)
def import_inbox(self: Task[Any, Any]) -> list[dict[str, Any]]:
    """Import the files in the inbox; return their names and the ids of their jobs."""
    if settings.LINKING_INBOX is None:
        log.info("LINKING_INBOX is not set: there is nothing to import")
        return []
    folder = prepare_inbox()
    settled, growing, left = list_inbox(folder)
    report_left(left)
    files = [_dispatch_file(file) for file in inbox.claim_files(folder, settled)]
    if growing and self.request.retries < MAX_INBOX_CHECKS:
        again: dict[str, Any] = {"countdown": INBOX_CHECK_INTERVAL, "retries": self.request.retries + 1}
        self.apply_async(**again)
    return files


@app.task(name="linking.attend_inbox", ignore_result=True, time_limit=IMPORT_TIME_LIMIT)
def attend_inbox() -> None:
    """Advance claimed files: those whose worker died, and those whose jobs have ended."""
    if settings.LINKING_INBOX is None:
        log.error("LINKING_INBOX is not set, but files were claimed from it: set it for every worker")
        return
    for file in inbox.advance_files(prepare_inbox()):
        _dispatch_file(file)


def _dispatch_file(file: InboxFile) -> dict[str, Any]:
    """Dispatch the jobs of a file; return its name and their ids."""
    dispatch.dispatch_all(jobs_of(file))
    summary = {"file": file.name, "jobs": file.jobs}
    return summary | {"message": file.message} if file.message else summary


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
