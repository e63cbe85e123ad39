"""A job in numbers, compared with the previous job of its program."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from linking.bulk import Outcome
from worker.jobs.progress import progress_of
from worker.models import LinkingJob


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A job's numbers less those of the previous job: learners, learners by outcome where they differ, seconds."""

    job_id: UUID  # The previous job.
    finished: datetime  # When it ended.
    total: int
    counts: Mapping[str, int]
    duration: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A job in numbers."""

    total: int
    counts: Mapping[str, int]  # Learners by outcome, as far as they have one.
    duration: float | None  # Seconds from the start to the end; None for a job that is open or never started.
    learners_per_second: float | None
    difference: Difference | None  # From the previous job; None for an open job and for an undo.


def summary(job: LinkingJob) -> Summary:
    """Return a job in numbers."""
    counts, duration = progress_of(job).counts, _duration(job)
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
    previous = _previous(job)
    if previous is None or previous.finished is None:
        return None
    changes = {outcome.value: counts.get(outcome, 0) - previous.counts.get(outcome, 0) for outcome in Outcome}
    earlier = _duration(previous)
    return Difference(
        job_id=previous.pk,
        finished=previous.finished,
        total=job.total - previous.total,
        counts={outcome: change for outcome, change in changes.items() if change},
        duration=None if duration is None or earlier is None else duration - earlier,
    )


def _previous(job: LinkingJob) -> LinkingJob | None:
    """Return the newest earlier job of the program and source that is done and neither a dry run nor an undo.

    A file is compared with the file of that name before it, and a service's job with a service's: a corrective upload
    of ten learners says nothing about the nightly file of ten thousand.
    """
    if job.undoes_id or not job.is_final:
        return None
    done = LinkingJob.objects.filter(state=LinkingJob.State.DONE, undoes=None)
    done = done.filter(program_uuid=job.program_uuid, source=job.source)
    return done.without_dry_runs().filter(created__lt=job.created).order_by("-created").first()
