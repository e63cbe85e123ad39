"""Taking up jobs that stand still: what the broker lost, the ledger still knows.

A job stands still when nothing has happened to it for ``LINKING_STALL_AFTER`` seconds. From the second time that taking
it up led nowhere the wait doubles, so that a queue with hours of other work in it is not flooded with repetitions.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max, QuerySet
from django.utils import timezone

from worker.jobs.lifecycle import give_up
from worker.jobs.queueing import must_wait, recheck
from worker.models import LinkingJob

MAX_RESUMES = 11
"""Times in a row that a job is taken up without progress before it fails: with the default wait, some 17 hours."""


def claim_stalled_jobs() -> list[LinkingJob]:
    """Return the jobs that stand still, each to one caller only: their open slices are that caller's to send."""
    now = timezone.now()
    with transaction.atomic():
        taken = [job for job in _locked(_candidates(now)) if _is_stalled(job, now) and not must_wait(job)]
        for job in taken:
            progressed = job.resumed is None or job.slices.filter(finished__gt=job.resumed).exists()
            job.resumes = 1 if progressed else job.resumes + 1
            job.resumed = now
            job.relies_on_chord = False
            job.dispatched = job.dispatched or now
            recheck(job)
            if job.state == LinkingJob.State.RECEIVED:
                job.state, job.started = LinkingJob.State.RUNNING, now
            job.save(update_fields=["resumes", "resumed", "relies_on_chord", "dispatched", "state", "started"])
    hopeless = [job for job in taken if job.resumes > MAX_RESUMES and not job.is_final]
    for job in hopeless:
        give_up(job.pk, f"no progress although it was taken up {MAX_RESUMES} times; see the workers' log")
        job.refresh_from_db()
    return taken


def _candidates(now: datetime) -> "QuerySet[LinkingJob]":
    """Return the jobs whose answer nobody has been given, and that were not looked at just now."""
    # Who is refused before the job waits for anything is told so by the request itself.
    unanswered = LinkingJob.objects.filter(notified=None).exclude(state=LinkingJob.State.REFUSED, waits_for=[])
    return unanswered.filter(created__lt=now - timedelta(seconds=settings.LINKING_STALL_AFTER))


def _locked(candidates: "QuerySet[LinkingJob]") -> "QuerySet[LinkingJob]":
    skip = connection.features.has_select_for_update_skip_locked
    return candidates.select_for_update(skip_locked=skip).order_by("pk")


def _is_stalled(job: LinkingJob, now: datetime) -> bool:
    touched = job.slices.aggregate(last=Max("touched"))["last"]
    last = max(filter(None, (job.created, job.dispatched, job.resumed, touched)))
    wait = settings.LINKING_STALL_AFTER * 2 ** max(job.resumes - 2, 0)
    if touched is not None and job.resumed is not None and touched > job.resumed:
        wait = settings.LINKING_STALL_AFTER
    return bool(last < now - timedelta(seconds=wait))
