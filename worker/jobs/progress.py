"""Progress of jobs, and their error dictionaries."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings

from linking.bulk import FAILURES, SUCCESSES, Outcome
from worker.exceptions import JobError
from worker.models import JobSlice, LearnerOutcome, LinkingJob

if TYPE_CHECKING:
    from django.db.models import QuerySet

Errors = dict[str, str]
"""The error dictionary: message by external user key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Number of learners of a job, and how many have each outcome."""

    total: int
    counts: dict[str, int]

    @property
    def done(self) -> int:
        """Number of learners that have an outcome."""
        return sum(self.counts.values())

    @property
    def failed(self) -> int:
        """Number of learners that were not linked."""
        return sum(self.counts.get(outcome, 0) for outcome in FAILURES)

    @property
    def changed(self) -> int:
        """Number of learners whose rows the job changed, or a dry run would change."""
        return self.counts.get(Outcome.LINKED, 0) + self.counts.get(Outcome.RELINKED, 0)


def progress_of(job: LinkingJob) -> Progress:
    """Return the progress of a job."""
    return progress_by_job([job])[job.pk]


def progress_by_job(found: Iterable[LinkingJob]) -> dict[UUID, Progress]:
    """Return the progress of jobs by their ids: one query, over the slices of jobs whose result was not sent."""
    found = list(found)
    slices: dict[UUID, list[JobSlice]] = {job.pk: [] for job in found if job.notified is None}
    for part in JobSlice.objects.filter(job__in=slices) if slices else ():
        slices[part.job_id].append(part)
    return {
        job.pk: Progress(total=job.total, counts=job.counts if job.notified else sum_counts(slices[job.pk]))
        for job in found
    }


def sum_counts(slices: Iterable[JobSlice]) -> dict[str, int]:
    """Return the learners of slices by outcome."""
    counts: Counter[str] = Counter()
    for part in slices:
        counts.update(part.counts)
    return {outcome.value: counts[outcome] for outcome in Outcome if counts[outcome]}


def error_dictionary(job: LinkingJob) -> tuple[Errors, bool]:
    """Return a job's error dictionary in mapping order, and whether LINKING_MAX_RESULT_ERRORS cut it.

    Raises:
        JobError: the learners of the job were purged.
    """
    require_learners(job)
    limit = settings.LINKING_MAX_RESULT_ERRORS
    errors = list(_with_errors(job).values_list("external_user_key", "message")[: limit + 1])
    return dict(errors[:limit]), len(errors) > limit


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorPage:
    """Errors of a job in mapping order: position, external user key, outcome and message of each learner."""

    errors: list[tuple[int, str, str, str]]
    has_more: bool  # Whether learners at higher positions have errors.


def find_errors(job: LinkingJob, counts: Mapping[str, int], *, first: int, limit: int) -> ErrorPage:
    """Return at most ``limit`` errors of a job from position ``first`` on; none of a job whose learners were purged.

    One statement along the index of job and position, which stops when the page is full; none if by ``counts``, the
    learners by outcome, there are no errors: a caller that waits for a large job asks again and again.
    """
    if job.purged is not None or counts.keys() <= SUCCESSES:
        return ErrorPage(errors=[], has_more=False)
    rows = _with_errors(job).filter(position__gte=first)
    errors = list(rows.values_list("position", "external_user_key", "outcome", "message")[: limit + 1])
    return ErrorPage(errors=errors[:limit], has_more=len(errors) > limit)


def _with_errors(job: LinkingJob) -> "QuerySet[LearnerOutcome]":
    return job.learners.exclude(outcome__in=[Outcome.PENDING, *SUCCESSES]).order_by("position")


def require_learners(job: LinkingJob) -> None:
    """Raise a JobError if the learners of a job were purged."""
    if job.purged is not None:
        raise JobError(purged_message(job))


def purged_message(job: LinkingJob) -> str:
    """Return the text about a job whose learners were purged."""
    return f"the learners of job {job.pk} are no longer in the ledger (removed on {job.purged:%Y-%m-%d})."
