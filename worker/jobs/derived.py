"""Requests made from a job in the ledger: retry its failures, preview it, or run its dry run.

Each raises a JobError if the job is open, or undoes another one, or if its learners were purged.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from linking.bulk import FAILURES, Outcome
from worker.exceptions import JobError
from worker.jobs.progress import progress_of, require_learners
from worker.jobs.request import LinkRequest, digest_of
from worker.models import LinkingJob
from worker.relink_limit import allowed_relinks

if TYPE_CHECKING:
    from django.db.models import QuerySet


def retry_request(job_id: UUID) -> LinkRequest:
    """Return a request for the learners of a job that failed; it may relink as many as the job had left to relink."""
    job = _ended_job(job_id)
    progress = progress_of(job)
    if not progress.failed:
        msg = f"job {job_id} has no failures: there is nothing to retry."
        raise JobError(msg)
    # As a count: a percentage would be one of the failed learners only.
    limit = allowed_relinks(job.options.get("max_relinks"), job.total)
    left = None if limit is None else max(limit - progress.counts.get(Outcome.RELINKED, 0), 0)
    failed = job.learners.filter(outcome__in=FAILURES)
    return _request(job, failed, {"dry_run": job.dry_run, "max_relinks": left})


def preview_request(job_id: UUID) -> LinkRequest:
    """Return a request for a dry run of a job."""
    job = _ended_job(job_id)
    return _request(job, job.learners.all(), {"dry_run": True})


def run_request(job_id: UUID, max_relinks: int | str | None) -> LinkRequest:
    """Return a request that runs a dry run that is done for real, or a refused job again."""
    job = _ended_job(job_id)
    is_refused = job.state == LinkingJob.State.REFUSED
    if not is_refused and not (job.dry_run and job.state == LinkingJob.State.DONE):
        msg = f"job {job_id} is no dry run that is done, and was not refused: there is nothing to run."
        raise JobError(msg)
    options = {"dry_run": job.dry_run and is_refused, "max_relinks": max_relinks}
    return _request(job, job.learners.all(), options)


def run_id_of(job_id: UUID) -> UUID:
    """Return the id of the job that runs a dry run or a refused job: always the same, so that it runs once.

    A refused run changed nothing; the run after it has another id.
    """
    refused = 0
    while True:
        run_id = uuid5(job_id, f"run {refused}")
        if not LinkingJob.objects.filter(pk=run_id, state=LinkingJob.State.REFUSED).exists():
            return run_id
        refused += 1


def _ended_job(job_id: UUID) -> LinkingJob:
    job = LinkingJob.objects.find(job_id)
    if not job.is_final:
        msg = f"job {job_id} is {job.state}: wait for it, or cancel it."
        raise JobError(msg)
    if job.undoes_id is not None:
        msg = f"job {job_id} undoes another one: undo that one again instead."
        raise JobError(msg)
    require_learners(job)
    return job


def _request(job: LinkingJob, learners: "QuerySet[Any]", options: Mapping[str, Any]) -> LinkRequest:
    """Return a request whose learners are copied within the database, without those that were forgotten."""
    learners = learners.exclude(external_user_key="")
    total = learners.count()
    if not total:
        msg = f"all these learners of job {job.pk} were forgotten: send the mapping again."
        raise JobError(msg)
    digest = digest_of("learners of", str(job.pk), total, options)
    return LinkRequest(program_uuid=job.program_uuid, learners=learners, total=total, digest=digest, **options)
