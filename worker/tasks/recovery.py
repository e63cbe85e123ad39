"""Recovery of jobs, and pauses."""

import logging
from datetime import datetime
from typing import Any
from uuid import UUID

from celery import Task

from worker import dispatch, jobs
from worker.celery.application import app
from worker.celery.messages import MARKER, RESUMED
from worker.exceptions import JobError
from worker.imports import inbox
from worker.jobs.pauses import describe_pause, forget_pauses_of_ended_jobs, parse_pause_request
from worker.jobs.recovery import claim_stalled_jobs, note_resent, routes_in_use
from worker.jobs.routing import note_marker
from worker.jobs.totals import advance_totals
from worker.models import Cursor, Pause
from worker.queue_names import RECOVERY
from worker.tasks.files import attend_inbox

log = logging.getLogger(__name__)


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
