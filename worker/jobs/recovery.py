"""Recovery of stalled jobs: the ledger knows what the broker lost.

A job is stalled if nothing has happened to it for ``LINKING_STALL_AFTER`` seconds although its messages were delivered
or lost: a marker that was sent after them has been received (:mod:`worker.jobs.routing`). A job whose messages wait in
a queue is not stalled, however long they wait, nor is a paused job. From the second recovery without progress on, the
time doubles.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Max, Q
from django.utils import timezone

from worker.jobs.lifecycle import give_up
from worker.jobs.pauses import pauses_by_job
from worker.jobs.queueing import recheck, waiting_among, withdraw_left
from worker.jobs.routing import ROUTES, SMALL, Route, delivered_until, route_of
from worker.models import Cursor, JobSlice, LinkingJob

MAX_RESUMES = 11
"""Consecutive recoveries without progress before a job fails: with the default setting, some 17 hours."""
MAX_JOBS = 500
"""Most jobs that a sweep looks at."""
MAX_SLICES = 1_000
"""Open slices after which a sweep claims no more jobs: their messages take about a second to send."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """A job whose end was not sent, as a sweep reads it."""

    job: LinkingJob
    touched: datetime | None  # When a slice of it last began or wrote outcomes.
    open: int  # Number of slices that are not finished.
    is_paused: bool  # Whether the job is open and paused.

    @property
    def last(self) -> datetime:
        """The job's last sign of life: none of its messages was sent later."""
        job = self.job
        return max(filter(None, (job.created, job.dispatched, job.resumed, self.touched)))

    @property
    def route(self) -> Route:
        """The route of the messages that the job needs: its slices, or its end."""
        ended = self.job.state in {LinkingJob.State.REFUSED, LinkingJob.State.FAILED}
        return route_of(self.job) if self.open and not ended else SMALL

    def is_stalled(self, delivered: dict[str, datetime], now: datetime) -> bool:
        """Return whether none of the job's messages is queued, and nothing has happened for long enough."""
        job = self.job
        if self.is_paused and self.open:
            return False  # It waits in the ledger, and has no messages.
        progressed = self.touched is not None and job.resumed is not None and self.touched > job.resumed
        wait = settings.LINKING_STALL_AFTER * (1 if progressed else 2 ** max(job.resumes - 2, 0))
        received = delivered.get(self.route.name)
        return received is not None and self.last < min(received, now - timedelta(seconds=wait))


def routes_in_use() -> list[Route]:
    """Return the routes that may have messages of jobs: the first has the end of each of them."""
    jobs = LinkingJob.objects.unnotified()
    fewest = (0, *(route.most + 1 for route in ROUTES))
    used = [
        route
        for least, route in zip(fewest, ROUTES, strict=False)
        if jobs.filter(total__range=(least, route.most)).exists()
    ]
    return [SMALL, *(route for route in used if route is not SMALL)] if used else []


def claim_stalled_jobs(after: Cursor | None = None) -> tuple[list[LinkingJob], Cursor | None]:
    """Return stalled jobs, each to one caller only: the caller sends their open slices again.

    Args:
        after: where the sweep before this one ended; None: begin with the oldest job.

    Returns:
        The jobs, and where the next sweep must continue; None if this one reached the newest job.
    """
    now = timezone.now()
    delivered = delivered_until()
    claimed: list[LinkingJob] = []
    slices = 0
    candidates = _candidates(after, now)
    stalled = [candidate.job for candidate in candidates if candidate.is_stalled(delivered, now)]
    withdraw_left(stalled)
    due = {job.pk for job in stalled} - waiting_among(stalled)
    for number, candidate in enumerate(candidates, start=1):
        if candidate.job.pk in due and (job := _claim(candidate.job, now)):
            claimed.append(job)
            slices += candidate.open
        if slices >= MAX_SLICES or number == MAX_JOBS:
            return claimed, candidate.job.cursor
    return claimed, None


def _candidates(after: Cursor | None, now: datetime) -> list[_Candidate]:
    """Read the next MAX_JOBS jobs whose end was not sent, the oldest first, and sum their slices: three statements."""
    jobs = LinkingJob.objects.unnotified().filter(created__lt=now - timedelta(seconds=settings.LINKING_STALL_AFTER))
    found = list(jobs.after(after)[:MAX_JOBS])
    slices = JobSlice.objects.filter(job__in=found).order_by().values("job")
    sums = slices.annotate(touched=Max("touched"), open=Count("pk", filter=Q(finished=None)))
    by_job = {pk: (touched, number) for pk, touched, number in sums.values_list("job", "touched", "open")}
    paused = pauses_by_job(found)
    rows = ((job, *by_job.get(job.pk, (None, 0))) for job in found)
    return [
        _Candidate(job=job, touched=touched, open=number, is_paused=job.pk in paused) for job, touched, number in rows
    ]


def _claim(found: LinkingJob, now: datetime) -> LinkingJob | None:
    """Claim a job, unless another sweep claimed it; fail it if it was claimed too often."""
    skip = connection.features.has_select_for_update_skip_locked
    unclaimed = LinkingJob.objects.unnotified().filter(pk=found.pk, resumed=found.resumed)
    with transaction.atomic():
        job = unclaimed.select_for_update(skip_locked=skip).first()
        if job is None:
            return None
        progressed = job.resumed is None or job.slices.filter(finished__gt=job.resumed).exists()
        job.resumes = 1 if progressed else job.resumes + 1
        job.resumed = now
        job.dispatched = job.dispatched or now
        recheck(job)
        if job.state == LinkingJob.State.RECEIVED:
            job.state, job.started = LinkingJob.State.RUNNING, now
        job.save(update_fields=["resumes", "resumed", "dispatched", "state", "started"])
    if job.is_final or job.resumes <= MAX_RESUMES:
        return job
    return give_up(job.pk, f"no progress after {MAX_RESUMES} recoveries in a row; see the workers' log")


def note_resent(job: LinkingJob) -> None:
    """Write that the messages of a claimed job have been sent: a marker sent before that says nothing about them."""
    LinkingJob.objects.filter(pk=job.pk).update(resumed=timezone.now())
