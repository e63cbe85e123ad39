"""Recovery of stalled jobs: the ledger knows what the broker lost.

A job is stalled if nothing has happened to it for ``LINKING_STALL_AFTER`` seconds. From the second recovery without
progress on, the time doubles, so that a queue with hours of other work is not flooded with repetitions.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max
from django.utils import timezone

from worker.jobs.lifecycle import give_up
from worker.jobs.queueing import must_wait, recheck
from worker.models import LinkingJob

MAX_RESUMES = 11
"""Consecutive recoveries without progress before a job fails: with the default setting, some 17 hours."""


def claim_stalled_jobs() -> list[LinkingJob]:
    """Return the stalled jobs, each to one caller only: the caller sends their open slices again."""
    now = timezone.now()
    skip = connection.features.has_select_for_update_skip_locked
    old = LinkingJob.objects.unnotified().filter(created__lt=now - timedelta(seconds=settings.LINKING_STALL_AFTER))
    with transaction.atomic():
        locked = old.select_for_update(skip_locked=skip).order_by("pk")
        stalled = [job for job in locked if _is_stalled(job, now) and not must_wait(job)]
        for job in stalled:
            progressed = job.resumed is None or job.slices.filter(finished__gt=job.resumed).exists()
            job.resumes = 1 if progressed else job.resumes + 1
            job.resumed = now
            job.dispatched = job.dispatched or now
            recheck(job)
            if job.state == LinkingJob.State.RECEIVED:
                job.state, job.started = LinkingJob.State.RUNNING, now
            job.save(update_fields=["resumes", "resumed", "dispatched", "state", "started"])
    return [_fail_if_hopeless(job) for job in stalled]


def _fail_if_hopeless(job: LinkingJob) -> LinkingJob:
    if job.is_final or job.resumes <= MAX_RESUMES:
        return job
    return give_up(job.pk, f"no progress after {MAX_RESUMES} recoveries in a row; see the workers' log")


def _is_stalled(job: LinkingJob, now: datetime) -> bool:
    touched = job.slices.aggregate(last=Max("touched"))["last"]
    last = max(filter(None, (job.created, job.dispatched, job.resumed, touched)))
    wait = settings.LINKING_STALL_AFTER * 2 ** max(job.resumes - 2, 0)
    if touched is not None and job.resumed is not None and touched > job.resumed:
        wait = settings.LINKING_STALL_AFTER
    return bool(last < now - timedelta(seconds=wait))
