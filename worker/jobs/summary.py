"""What a job came to in numbers, beside the job of the program before it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from linking.bulk import Outcome
from worker.jobs.progress import progress as progress_of_job
from worker.models import LinkingJob


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How a job differs from the one before it: what is more is positive.

    Attributes:
        job_id: the job before it.
        finished: when that one ended.
        total: learners.
        counts: learners by outcome, where they differ.
        duration: seconds.
    """

    job_id: UUID
    finished: datetime
    total: int
    counts: Mapping[str, int]
    duration: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A job in numbers.

    Attributes:
        total: learners.
        counts: learners by outcome, as far as they are done.
        duration: seconds from the first slice sent to the last one ended; None for a job that is open or never began.
        learners_per_second: of a job that ran and ended.
        difference: to the newest finished job of the program before it; None where there is none, for
            an undo, and for a job that is open.
    """

    total: int
    counts: Mapping[str, int]
    duration: float | None
    learners_per_second: float | None
    difference: Difference | None


def summary(job: LinkingJob) -> Summary:
    """Return a job in numbers, beside the job before it."""
    progress = progress_of_job(job.pk)
    counts = progress.counts if progress else {}
    duration = _duration(job)
    return Summary(
        total=job.total,
        counts=counts,
        duration=duration,
        learners_per_second=sum(counts.values()) / duration if duration else None,
        difference=_difference(job, counts, duration),
    )


def _duration(job: LinkingJob) -> float | None:
    return (job.finished - job.started).total_seconds() if job.started and job.finished else None


def _difference(job: LinkingJob, counts: Mapping[str, int], duration: float | None) -> Difference | None:
    before = _previous(job)
    if before is None or before.finished is None:
        return None
    took = _duration(before)
    pairs = ((outcome.value, counts.get(outcome, 0) - before.counts.get(outcome.value, 0)) for outcome in Outcome)
    return Difference(
        job_id=before.pk,
        finished=before.finished,
        total=job.total - before.total,
        counts={outcome: more for outcome, more in pairs if more},
        duration=duration - took if duration is not None and took is not None else None,
    )


def _previous(job: LinkingJob) -> LinkingJob | None:
    """Return the newest job of the program before ``job`` that ran to its end and changed something, or could have."""
    if job.undoes_id or not job.is_final:
        return None
    done = LinkingJob.objects.filter(program_uuid=job.program_uuid, state=LinkingJob.State.DONE, undoes=None)
    return done.without_dry_runs().filter(created__lt=job.created).order_by("-created").first()
