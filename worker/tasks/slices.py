"""The slices of a job, and its end."""

import logging
import time
from typing import Any
from uuid import UUID

from celery import Task, states
from celery.exceptions import Ignore

from worker import dispatch, jobs
from worker.celery.application import app
from worker.celery.ending import run_end
from worker.celery.messages import END, SLICE
from worker.celery.request import RedactedTask
from worker.events import request_delivery
from worker.exceptions import JobError
from worker.jobs.slices import run_slice
from worker.logs import log_job_ended, log_slice_finished
from worker.models import LinkingJob

log = logging.getLogger(__name__)


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
    if run.is_only:
        run_end(self)
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
