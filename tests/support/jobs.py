"""Jobs without Celery: submitted, run slice by slice and finished in this process."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from tests.support.ids import PROGRAM
from worker import jobs
from worker.jobs.request import LinkRequest, parse_link_request
from worker.jobs.slices import run_slice
from worker.models import LearnerOutcome, LinkingJob


def order(mapping: Mapping[str, str], program: UUID = PROGRAM, **options: Any) -> LinkRequest:
    """Return the request of a message with ``mapping`` and ``options``."""
    return parse_link_request((str(program), mapping), options)


def submit(mapping: Mapping[str, str], program: UUID = PROGRAM, **options: Any) -> LinkingJob:
    """Write a new job into the ledger."""
    return jobs.submit(uuid4(), order(mapping, program, **options))


def undo(job: LinkingJob, *, dry_run: bool = False) -> LinkingJob:
    """Undo the job and return the undoing, at its end."""
    undoing = jobs.submit_undo(uuid4(), job.pk, dry_run=dry_run)
    run(undoing)
    return undoing


def run_slices(job: LinkingJob) -> None:
    """Start the job and run its open slices, one after the other."""
    jobs.start(job)
    for number in jobs.open_slices(job):
        run_slice(job.pk, number)


def finish(job: LinkingJob, sent: list[jobs.Errors] | None = None) -> jobs.Errors | None:
    """End the job if it is over; collect the error dictionaries that are sent to its caller."""
    end = jobs.finish(job.pk, lambda _job, errors: None if sent is None else sent.append(errors))
    if end and end.failure:
        raise end.failure
    return None if end is None else end.errors


def run(job: LinkingJob) -> jobs.Errors:
    """Run the job to its end and return its error dictionary."""
    run_slices(job)
    errors = finish(job)
    assert errors is not None
    job.refresh_from_db()
    return errors


def run_job(mapping: Mapping[str, str], program: UUID = PROGRAM, **options: Any) -> LinkingJob:
    """Submit a job, run it to its end and return it."""
    job = submit(mapping, program, **options)
    run(job)
    return job


def linked(mapping: Mapping[str, str], **options: Any) -> LinkingJob:
    """Submit a job that links everybody, run it to its end and return it."""
    job = submit(mapping, **options)
    assert run(job) == {}
    return job


def link(mapping: Mapping[str, str], **options: Any) -> jobs.Errors:
    """Submit a job, run it to its end and return its error dictionary."""
    return run(submit(mapping, **options))


def keys_by_slice(job: LinkingJob) -> list[list[str]]:
    """Return the keys of each slice, in the order in which the slice works on them."""
    keys: dict[int, list[str]] = defaultdict(list)
    rows = LearnerOutcome.objects.filter(job=job).order_by("position")
    for number, key in rows.values_list("slice", "external_user_key"):
        keys[number].append(key)
    return [keys[number] for number in sorted(keys)]


def outcomes(job: LinkingJob) -> dict[str, str]:
    """Return the outcome of each learner by external user key, in mapping order."""
    rows = LearnerOutcome.objects.filter(job=job).order_by("position")
    return dict(rows.values_list("external_user_key", "outcome"))
