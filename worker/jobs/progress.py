"""How far jobs are, and their error dictionaries."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings

from linking.bulk import FAILURES, SUCCESSES, Outcome
from worker.exceptions import JobError
from worker.models import JobSlice, LinkingJob

GONE_TEMPLATE = "the learners of job {job_id} are no longer in the ledger (removed on {day})."

Errors = dict[str, str]
"""The error dictionary: message by external user key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a job is: learners in all, learners done by outcome, and the job's state."""

    state: str
    total: int
    counts: dict[str, int]

    @property
    def done(self) -> int:
        """Learners that have their outcome."""
        return sum(self.counts.values())

    @property
    def is_final(self) -> bool:
        """Whether nothing will happen to the job any more."""
        return self.state not in LinkingJob.OPEN_STATES

    @property
    def failed(self) -> int:
        """Learners with a real failure."""
        return sum(self.counts.get(outcome, 0) for outcome in FAILURES)


def error_dictionary(job: LinkingJob) -> tuple[Errors, bool]:
    """Return a job's error dictionary in mapping order, and whether LINKING_MAX_RESULT_ERRORS cut it.

    Raises:
        JobError: its learners are gone.
    """
    refuse_purged(job)
    most = settings.LINKING_MAX_RESULT_ERRORS
    silent = [Outcome.PENDING, *SUCCESSES]
    rows = job.learners.exclude(outcome__in=silent).order_by("position").values_list("external_user_key", "message")
    errors = list(rows[: most + 1])
    return dict(errors[:most]), len(errors) > most


def refuse_purged(job: LinkingJob) -> None:
    """Raise a JobError where the job's learners are gone."""
    if job.purged is not None:
        raise JobError(GONE_TEMPLATE.format(job_id=job.pk, day=f"{job.purged:%Y-%m-%d}"))


def progress(job_id: UUID) -> Progress | None:
    """Return how far a job is, None where there is no such job."""
    return progress_of(LinkingJob.objects.filter(pk=job_id)).get(job_id)


def progress_of(found: Iterable[LinkingJob]) -> dict[UUID, Progress]:
    """Return how far each of several jobs is: one query over the slices of those that nobody has been told of yet."""
    found = list(found)
    slices: dict[UUID, list[JobSlice]] = {job.pk: [] for job in found if job.notified is None}
    for part in JobSlice.objects.filter(job__in=slices) if slices else ():
        slices[part.job_id].append(part)
    return {
        job.pk: Progress(
            state=job.state,
            total=job.total,
            counts=job.counts if job.notified else sum_counts(slices[job.pk]),
        )
        for job in found
    }


def sum_counts(slices: Iterable[JobSlice]) -> dict[str, int]:
    """Return the learners of slices by outcome."""
    counts: Counter[str] = Counter()
    for part in slices:
        counts.update(part.counts)
    return {outcome.value: counts[outcome] for outcome in Outcome if counts[outcome]}
