"""A job's life: started, dispatched, finished or closed. No Celery in here.

The ledger is the truth: every step looks there for what is still to be done and may be repeated at any time.
"""

from collections.abc import Callable
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from worker.exceptions import JobError, JobFailedError, JobRefusedError
from worker.jobs.ledger import SliceLedger
from worker.jobs.progress import Errors, error_dictionary, sum_counts
from worker.jobs.queueing import recheck
from worker.jobs.slicing import open_slices
from worker.models import LinkingJob


def start(job: LinkingJob, *, relies_on_chord: bool) -> None:
    """Note that the slices of a job are being sent, and whether a chord will end the job.

    Raises:
        JobRefusedError: what the job waited for has linked learners, and it would take more of them away than it may.
    """
    running = {"state": LinkingJob.State.RUNNING, "started": timezone.now(), "relies_on_chord": relies_on_chord}
    jobs = LinkingJob.objects.filter(pk=job.pk)
    with transaction.atomic():
        for waited in jobs.select_for_update() if job.waits_for else ():
            recheck(waited)
            job.state, job.message = waited.state, waited.message
        if not jobs.filter(state=LinkingJob.State.RECEIVED).update(**running):
            jobs.update(relies_on_chord=relies_on_chord)
    if job.state == LinkingJob.State.REFUSED:
        raise JobRefusedError(job.message)


def note_dispatched(job: LinkingJob) -> None:
    """Note that all slices have their message."""
    LinkingJob.objects.filter(pk=job.pk).update(dispatched=timezone.now())


def finish(job_id: UUID, notify: Callable[[LinkingJob, Errors], None]) -> Errors | None:
    """End a job whose slices are all finished; return its error dictionary, or None where some slice is not.

    Args:
        job_id: which job.
        notify: called with the job and its error dictionary, once however often this is called, under the job's lock.
            Whoever dies between announcing and committing leaves the notifyment to be made again.

    Raises:
        JobFailedError: the job had to be given up.
        JobRefusedError: it was refused when it was about to begin.
    """
    if LinkingJob.objects.filter(pk=job_id, state=LinkingJob.State.REFUSED).update(notified=timezone.now()):
        raise JobRefusedError(LinkingJob.objects.get(pk=job_id).message)
    with transaction.atomic():
        job = LinkingJob.objects.select_for_update().get(pk=job_id)
        slices = job.slices.all()
        if job.state != LinkingJob.State.FAILED and any(part.finished is None for part in slices):
            return None
        errors, cut = error_dictionary(job)
        if job.notified is None:
            now = timezone.now()
            job.counts = sum_counts(slices)
            job.errors_cut = cut
            if not job.is_final:
                job.state = LinkingJob.State.DONE
            job.finished = job.finished or now
            if job.state != LinkingJob.State.FAILED:
                notify(job, errors)
            job.notified = now
            job.save(update_fields=["counts", "errors_cut", "state", "finished", "notified"])
    if job.state == LinkingJob.State.FAILED:
        raise JobFailedError(job.message)
    return errors


def cancel(job_id: UUID) -> LinkingJob:
    """Stop a job: the learners not linked yet get the outcome ``cancelled``; what is linked stays.

    A slice that is being worked on ends as a whole. Call :func:`finish` afterwards.

    Raises:
        JobError: there is no such job, or it is in a final state.
    """
    _close(job_id, LinkingJob.State.CANCELLED, "cancelled")
    return LinkingJob.objects.get(pk=job_id)


def give_up(job_id: UUID, reason: str) -> None:
    """Fail a job that makes no progress however often it is taken up again."""
    _close(job_id, LinkingJob.State.FAILED, reason)


def _close(job_id: UUID, state: LinkingJob.State, message: str) -> None:
    with transaction.atomic():
        job = LinkingJob.objects.select_for_update().filter(pk=job_id).first()
        if job is None:
            msg = f"there is no job {job_id}: manage.py linking_jobs list shows those that there are."
            raise JobError(msg)
        if job.is_final:
            msg = f"job {job_id} is {job.state} already: nothing was changed."
            raise JobError(msg)
        job.state, job.message, job.finished = state, message, timezone.now()
        job.save(update_fields=["state", "message", "finished"])
    skip = connection.features.has_select_for_update_skip_locked
    for number in open_slices(job):
        with transaction.atomic():
            # A slice in hand sees by itself that the job has ended; who gives a job up must not wait for what hangs.
            part = job.slices.filter(number=number)
            if state != LinkingJob.State.FAILED or part.select_for_update(skip_locked=skip).exists():
                SliceLedger(job_id, number).look()
