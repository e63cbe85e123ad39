"""The steps of a job: start, finish, cancel, give up. Each may be repeated at any time: the ledger has what is left."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from linking.bulk import SUCCESSES, early_commit, execute, fetch
from worker.exceptions import JobError, JobFailedError, JobRefusedError
from worker.jobs.ledger import SliceLedger
from worker.jobs.progress import Errors, error_dictionary, sum_counts
from worker.jobs.queueing import recheck, released_by, withdraw
from worker.jobs.slicing import open_slices
from worker.jobs.tables import JOBS, SLICES
from worker.models import LinkingJob

State = LinkingJob.State


def start(job: LinkingJob) -> None:
    """Mark a job as running; re-check one that waited.

    Raises:
        JobRefusedError: the jobs that it waited for linked learners, and it would now relink more than it may.
    """
    jobs = LinkingJob.objects.filter(pk=job.pk)
    with transaction.atomic() if job.waits_for else nullcontext():
        for waited in jobs.select_for_update() if job.waits_for else ():
            recheck(waited)
            job.state, job.message = waited.state, waited.message
        jobs.filter(state=State.RECEIVED).update(state=State.RUNNING, started=timezone.now())
    if job.state == State.REFUSED:
        raise JobRefusedError(job.message)


def note_dispatched(job: LinkingJob) -> None:
    """Write that all slices of a job have been sent; if this is lost, recovery sends them again."""
    execute(f"UPDATE {JOBS} SET dispatched = %s WHERE id = %s AND {early_commit()}", [timezone.now(), job.pk])


def note(job_id: UUID, text: str) -> None:
    """Add a text to the message of a job, if there is one, and only once; the text must name no learner."""
    with transaction.atomic():
        for job in LinkingJob.objects.select_for_update().filter(pk=job_id).exclude(message__contains=text):
            job.message = f"{job.message}; {text}" if job.message else text
            job.save(update_fields=["message"])


def is_over(job_id: UUID) -> bool:
    """Return whether all slices of a job are finished and its result has not been sent."""
    # SQL, since it is asked after each slice, and the ORM takes ten times as long to write this.
    sql = f"""
        SELECT 1 FROM {JOBS} job WHERE job.id = %s AND job.announced IS NULL
        AND NOT EXISTS (SELECT 1 FROM {SLICES} part WHERE part.job_id = job.id AND part.finished IS NULL)
    """
    return bool(fetch(sql, [job_id]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A job that has ended."""

    errors: Errors
    failure: JobError | None  # A JobFailedError, or a JobRefusedError of a job that was refused when it was to begin.
    released: list[LinkingJob]  # Jobs that waited for it and can begin.


def finish(job_id: UUID, notify: Callable[[LinkingJob, Errors], None]) -> Ended | None:
    """End a job whose slices are all finished.

    Args:
        job_id: the job.
        notify: called with the job and its error dictionary in the first call that ends the job, under the job's lock.
            If the process dies before the commit, the next call notifies again.

    Returns:
        The end; None if a slice is open.
    """
    tokens: list[int] | None = None
    with transaction.atomic():
        job = LinkingJob.objects.select_for_update().get(pk=job_id)
        failure = {State.FAILED: JobFailedError, State.REFUSED: JobRefusedError}.get(State(job.state))
        slices = job.slices.all()
        if not failure and any(part.finished is None for part in slices):
            return None
        if job.notified is None:
            job.counts = sum_counts(slices)
        is_clean = job.counts.keys() <= SUCCESSES
        errors, cut = ({}, False) if failure or is_clean else error_dictionary(job)
        if job.notified is None:
            now = timezone.now()
            job.errors_cut = cut
            job.state, job.finished = job.state if job.is_final else State.DONE, job.finished or now
            notify(job, errors)
            job.notified = now
            job.save(update_fields=["counts", "errors_cut", "state", "finished", "notified"])
            tokens = withdraw(job)
    # After the commit: a job that is submitted at the same time sees no claims of this one, or is seen here.
    released = released_by(job, tokens)
    return Ended(errors=errors, failure=failure(job.message) if failure else None, released=released)


def cancel(job_id: UUID) -> LinkingJob:
    """Stop a job: open learners get the outcome ``cancelled``; linked ones stay linked.

    A slice that is running is completed. Call :func:`finish` afterwards.

    Raises:
        JobError: there is no such job, or it is in a final state.
    """
    return _close(job_id, State.CANCELLED, "cancelled")


def give_up(job_id: UUID, reason: str) -> LinkingJob:
    """Fail a job that recovery could not advance."""
    return _close(job_id, State.FAILED, reason)


def _close(job_id: UUID, state: LinkingJob.State, message: str) -> LinkingJob:
    with transaction.atomic():
        job = LinkingJob.objects.select_for_update().find(job_id)
        if job.is_final:
            msg = f"job {job_id} is {job.state} already: nothing was changed."
            raise JobError(msg)
        job.state, job.message, job.finished = state, message, timezone.now()
        job.save(update_fields=["state", "message", "finished"])
    skip = connection.features.has_select_for_update_skip_locked
    for number in open_slices(job):
        with transaction.atomic():
            # A running slice finds by itself that the job has ended; giving up must not wait for one that hangs.
            part = job.slices.filter(number=number)
            if state != State.FAILED or part.select_for_update(skip_locked=skip).exists():
                SliceLedger(job, number).close()
    job.refresh_from_db()
    return job
