"""Which jobs wait for which, and what is checked again once they have waited."""

from uuid import UUID

from django.utils import timezone

from linking.bulk import Outcome, advisory_lock, count_relinks, overlap
from worker.jobs.request import allowed_relinks
from worker.jobs.slicing import cut_into_slices, mapping_of
from worker.models import LearnerOutcome, LinkingJob


def check_relinks(job: LinkingJob) -> None:
    """Refuse the job where more enrollments would change hands than allowed."""
    most = job.options.get("max_relinks")
    allowed = allowed_relinks(most, job.total)
    if allowed is None:
        return
    relinks = count_relinks(job.program_uuid, mapping_of(LearnerOutcome.objects.filter(job=job), job))
    if relinks > allowed:
        job.state = LinkingJob.State.REFUSED
        job.finished = timezone.now()
        job.message = (
            f"{relinks:,} of {job.total:,} program enrollments would change hands, max_relinks={most}"
            f" allows {allowed:,}: nothing was written. Check the file; raise max_relinks if it is right."
        )
        job.save(update_fields=["state", "finished", "message"])


def recheck(job: LinkingJob) -> None:
    """Count and cut a job that waited once more before it begins: who has which user is not what it was."""
    if job.waits_for and job.state == LinkingJob.State.RECEIVED:
        check_relinks(job)
    if job.waits_for and job.state == LinkingJob.State.RECEIVED and job.undoes_id is None:
        job.slices.all().delete()
        cut_into_slices(job)


def queue_up(job: LinkingJob) -> None:
    """Let the job wait for those before it that are to link the same learners: one job after the other.

    An undo touches more than its learners' keys and users tell (former users): it waits for every job of the program,
    and every job waits for it.
    """
    if job.state != LinkingJob.State.RECEIVED or job.dry_run:
        return
    # Of two jobs submitted at once, each must see the other or be seen by it.
    advisory_lock(job.program_uuid)
    ours = mapping_of(LearnerOutcome.objects.filter(job=job), job)
    for other in LinkingJob.objects.open().filter(program_uuid=job.program_uuid).exclude(pk=job.pk):
        theirs = mapping_of(LearnerOutcome.objects.filter(job=other, outcome=Outcome.PENDING), other)
        few, many = (ours, theirs) if job.total <= other.total else (theirs, ours)
        if other.dry_run:
            continue
        if job.undoes_id or other.undoes_id or overlap(job.program_uuid, few, many):
            job.waits_for.append(str(other.pk))
    if job.waits_for:
        job.save(update_fields=["waits_for"])


def must_wait(job: LinkingJob) -> bool:
    """Tell whether a job that the given one waits for is still open."""
    return LinkingJob.objects.open().filter(pk__in=job.waits_for).exists()


def released_by(job_id: UUID) -> list[LinkingJob]:
    """Return the jobs that waited for this one, and now for none."""
    waiting = LinkingJob.objects.filter(state=LinkingJob.State.RECEIVED, dispatched=None).exclude(waits_for=[])
    return [job for job in waiting if str(job_id) in job.waits_for and not must_wait(job)]
