"""Order among jobs: which jobs wait for which, and the checks before a job begins."""

from uuid import UUID

from django.utils import timezone

from linking.bulk import Outcome, advisory_lock, count_relinks, overlap
from worker.jobs.slicing import cut_into_slices, mapping_of
from worker.models import LearnerOutcome, LinkingJob
from worker.relink_limit import allowed_relinks


def check_relinks(job: LinkingJob) -> None:
    """Refuse a job that would relink more learners than ``max_relinks`` allows."""
    most = job.options.get("max_relinks")
    allowed = allowed_relinks(most, job.total)
    if allowed is None:
        return
    relinks = count_relinks(job.program_uuid, mapping_of(job.learners.all(), job))
    if relinks > allowed:
        job.state, job.finished = LinkingJob.State.REFUSED, timezone.now()
        job.message = (
            f"{relinks:,} of {job.total:,} program enrollments would change hands, max_relinks={most}"
            f" allows {allowed:,}: nothing was written. Check the file; raise max_relinks if it is right."
        )
        if not job.waits_for:  # Refused at submission: the failure of the request says so.
            job.notified = job.finished
        job.save(update_fields=["state", "finished", "message", "notified"])


def recheck(job: LinkingJob) -> None:
    """Re-check and re-slice a job that waited: earlier jobs may have relinked its learners."""
    if not job.waits_for or job.state != LinkingJob.State.RECEIVED:
        return
    check_relinks(job)
    if job.state == LinkingJob.State.RECEIVED and job.undoes_id is None:
        job.slices.all().delete()
        cut_into_slices(job)


def queue_up(job: LinkingJob) -> None:
    """Write for which open jobs a new job waits: those over the same learners, one job after the other.

    An undo touches former users too, which its learners do not name: it waits for every job of the program, and every
    job waits for it. Dry runs wait for none.
    """
    if job.dry_run:
        return
    # Of two jobs submitted at once, one must see the other.
    advisory_lock(job.program_uuid)
    learners = mapping_of(job.learners.all(), job)
    others = LinkingJob.objects.open().without_dry_runs().filter(program_uuid=job.program_uuid).exclude(pk=job.pk)
    for other in others:
        pending = mapping_of(LearnerOutcome.objects.filter(job=other, outcome=Outcome.PENDING), other)
        few, many = (learners, pending) if job.total <= other.total else (pending, learners)
        if job.undoes_id or other.undoes_id or overlap(job.program_uuid, few, many):
            job.waits_for.append(str(other.pk))
    if job.waits_for:
        job.save(update_fields=["waits_for"])


def must_wait(job: LinkingJob) -> bool:
    """Return whether a job that the given one waits for is open."""
    return LinkingJob.objects.open().filter(pk__in=job.waits_for).exists()


def released_by(job_id: UUID) -> list[LinkingJob]:
    """Return the jobs that waited for this one and now wait for none."""
    waiting = LinkingJob.objects.filter(state=LinkingJob.State.RECEIVED, dispatched=None).exclude(waits_for=[])
    return [job for job in waiting if str(job_id) in job.waits_for and not must_wait(job)]
