"""The purge: removes all that names learners after LINKING_RETENTION_DAYS; a job and its counts stay.

A job is marked as purged before its learners are removed batch by batch: a reader finds all learners or the mark, and
the next purge continues one that was interrupted.
"""

import time
from collections import Counter
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Max, Min, Q, QuerySet
from django.utils import timezone
from django_celery_results.models import TaskResult

from worker.jobs.imported_rows import settle_job
from worker.jobs.progress import progress_of
from worker.jobs.queueing import withdraw
from worker.models import InboxFile, LearnerOutcome, LinkingJob, RequestAttempts

JOBS = 1_000
"""Most jobs whose ids are read at a time."""
LEARNERS = 10_000
"""Most learners that one transaction removes."""
RESULTS = 500
"""Most task results that one transaction removes."""
SECONDS = 50.0
"""Seconds after which a purge leaves the rest to the next: far below every time limit."""


def purge_expired(seconds: float = SECONDS) -> tuple[dict[str, int], bool]:
    """Remove learners of jobs, task results and records of files that ended LINKING_RETENTION_DAYS ago.

    It stops after so many seconds, but not before the first batch.

    Returns:
        The number of ``learners``, ``results`` and ``files`` that were removed, and of ``jobs`` that have no learners
        any more; and whether nothing is left to remove.
    """
    until = time.monotonic() + seconds
    deadline = timezone.now() - timedelta(days=settings.LINKING_RETENTION_DAYS)
    removed = Counter({"learners": 0, "results": 0, "files": 0, "jobs": 0})
    states = (InboxFile.State.IN_PLACE, InboxFile.State.DONE, InboxFile.State.REJECTED, InboxFile.State.LEFT)
    ended_files = InboxFile.objects.filter(state__in=states)
    # By the day of their import: until then the same content is recognised.
    removed["files"] = ended_files.filter(created__lt=deadline).delete()[0]
    RequestAttempts.objects.filter(begun__lt=deadline).delete()
    expired_jobs = _expired(deadline).order_by("finished").values_list("pk", flat=True)
    while some_jobs := list(expired_jobs[:JOBS]):
        for job_id in some_jobs:
            if not _purge(job_id, removed, until):
                return dict(removed), False
            removed["jobs"] += 1
            if time.monotonic() > until:
                return dict(removed), False
    expired = TaskResult.objects.filter(date_done__lt=deadline)
    while some := list(expired.values_list("pk", flat=True)[:RESULTS]):
        removed["results"] += expired.filter(pk__in=some).delete()[0]
        if time.monotonic() > until:
            return dict(removed), False
    return dict(removed), True


def _expired(deadline: datetime) -> QuerySet[LinkingJob]:
    ended = LinkingJob.objects.exclude(state__in=LinkingJob.OPEN_STATES).filter(finished__lt=deadline)
    return ended.filter(Q(purged=None) | Q(purging=True))


def _purge(job_id: UUID, removed: Counter[str], until: float) -> bool:
    """Remove all that names a job's learners; return False if time ran out before."""
    settle_job(job_id)  # It needs the learners.
    with transaction.atomic():
        job = LinkingJob.objects.select_for_update().get(pk=job_id)
        if job.purged is None:
            now = timezone.now()
            job.counts = progress_of(job).counts
            # The result cannot be sent any more: recovery must skip the job.
            job.notified, job.purged, job.purging, job.reply = job.notified or now, now, True, {}
            job.save(update_fields=["counts", "notified", "purged", "purging", "reply"])
            job.slices.all().delete()
            withdraw(job)
        removed["results"] += TaskResult.objects.filter(task_id=str(job_id)).delete()[0]
    if not _delete_learners(job_id, removed, until):
        return False
    LinkingJob.objects.filter(pk=job_id).update(purging=False)
    return True


def _delete_learners(job_id: UUID, removed: Counter[str], until: float) -> bool:
    learners = LearnerOutcome.objects.filter(job=job_id)
    ends = learners.aggregate(first=Min("position"), last=Max("position"))
    if ends["last"] is None:
        return True
    for start in range(ends["first"], ends["last"] + 1, LEARNERS):
        removed["learners"] += learners.filter(position__range=(start, start + LEARNERS - 1)).delete()[0]
        if time.monotonic() > until:
            return bool(start + LEARNERS > ends["last"])
    return True
