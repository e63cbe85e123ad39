"""Orders made of the learners that a job has in the ledger: the same once more, or only those that failed."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid5

from linking.bulk import FAILURES, Outcome
from worker.exceptions import JobError
from worker.jobs.progress import progress_of, refuse_purged
from worker.jobs.request import LinkRequest, validate_options
from worker.models import LinkingJob


def retry_request(job_id: UUID) -> LinkRequest:
    """Return an order for only those learners of a job that ended with a real failure.

    Raises:
        JobError: the job is not in a final state, its learners are gone, or nobody failed.
    """
    job = _ended_job(job_id)
    failed = progress_of([job])[job.pk].failed
    if not failed:
        msg = f"job {job_id} has no failures: there is nothing to retry."
        raise JobError(msg)
    learners = job.learners.filter(outcome__in=FAILURES)
    options = {"dry_run": job.dry_run, "max_relinks": _relinks_left(job)}
    return _order(job, learners, failed, options)


def preview_request(job_id: UUID) -> LinkRequest:
    """Return an order that finds out what a job would do if it were run now.

    Raises:
        JobError: the job is not in a final state, or its learners are gone.
    """
    job = _ended_job(job_id)
    return _order(job, job.learners.all(), job.total, {"dry_run": True})


def run_request(preview_id: UUID, max_relinks: int | str | None) -> LinkRequest:
    """Return an order that does what a dry run has shown.

    Raises:
        JobError: the job is no dry run that is done, or its learners are gone.
        ValueError: ``max_relinks`` is no count and no percentage.
    """
    job = _ended_job(preview_id)
    if not job.dry_run or job.state != LinkingJob.State.DONE:
        msg = f"job {preview_id} is no dry run that is done: there is nothing to run."
        raise JobError(msg)
    return _order(job, job.learners.all(), job.total, {"max_relinks": max_relinks})


def run_id_of(preview_id: UUID) -> UUID:
    """Return the id of the job that runs a preview: the same however often it is asked for, so that it runs once.

    A run that was refused has done nothing; the one after it has an id of its own.
    """
    refused = 0
    while True:
        run_id = uuid5(preview_id, f"run {refused}")
        if not LinkingJob.objects.filter(pk=run_id, state=LinkingJob.State.REFUSED).exists():
            return run_id
        refused += 1


def _relinks_left(job: LinkingJob) -> int | None:
    """Return how many more enrollments the job might have let change hands: 5% of those who failed would be fewer."""
    order = LinkRequest(
        program_uuid=job.program_uuid,
        learners=(),
        total=job.total,
        digest="",
        max_relinks=job.options.get("max_relinks"),
    )
    if order.allowed_relinks is None:
        return None
    return max(order.allowed_relinks - progress_of([job])[job.pk].counts.get(Outcome.RELINKED, 0), 0)


def _ended_job(job_id: UUID) -> LinkingJob:
    job = LinkingJob.objects.filter(pk=job_id).first()
    if job is None or not job.is_final:
        msg = (
            f"job {job_id} does not exist."
            if job is None
            else f"job {job_id} is {job.state}: wait for it, or cancel it."
        )
        raise JobError(msg)
    if job.undoes_id is not None:
        msg = f"job {job_id} undoes another one: undo that one again instead."
        raise JobError(msg)
    refuse_purged(job)
    return job


def _order(job: LinkingJob, learners: Any, total: int, options: Mapping[str, Any]) -> LinkRequest:
    """Return an order whose learners go from one part of the ledger to another without passing through here."""
    text = json.dumps(["learners of", str(job.pk), total, options])
    digest = hashlib.sha256(text.encode()).hexdigest()
    order = LinkRequest(program_uuid=job.program_uuid, learners=learners, total=total, digest=digest, **options)
    validate_options(order)
    return order
