"""Sums over jobs that have ended, kept in rows of their own: metrics do not read the whole history at each scrape.

One row is for all jobs, one for dry runs. Each covers the jobs whose result was sent until a time that no transaction
can precede any more. Nothing changes such a job but its purge, which keeps its state and counts. Newer jobs are summed
when they are read.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import BigIntegerField, Count, Q, QuerySet, Sum, Value
from django.db.models.fields.json import KT
from django.db.models.functions import Cast
from django.utils import timezone

from linking.bulk import Outcome
from worker.models import JobQuerySet, JobTotals, LinkingJob

MARGIN = timedelta(minutes=15)
"""Age from which on ended jobs are added to the row: more than the time limit of any transaction that ends a job."""
MAX_JOBS = 50_000
"""Most jobs that one call adds to a row: they take some 0.2 s."""
OUTCOMES = [outcome for outcome in Outcome if outcome != Outcome.PENDING]
START = datetime(1970, 1, 1, tzinfo=UTC)


ALL, DRY_RUNS = 1, 2
"""Primary keys of the rows."""


def read_totals() -> list[JobTotals]:
    """Return the rows of all jobs and of dry runs, empty where there is none."""
    found = JobTotals.objects.in_bulk([ALL, DRY_RUNS])
    return [found.get(pk) or JobTotals(pk=pk, until=START) for pk in (ALL, DRY_RUNS)]


def jobs_of(totals: JobTotals) -> JobQuerySet:
    """Return the jobs that a row is for."""
    return LinkingJob.objects.dry_runs() if totals.pk == DRY_RUNS else LinkingJob.objects.all()


def jobs_beside(totals: JobTotals) -> JobQuerySet:
    """Return the jobs that a row is for and does not cover."""
    return jobs_of(totals).filter(Q(notified=None) | Q(notified__gt=totals.until))


def advance_totals() -> None:
    """Add jobs that ended since to the rows, unless another process is adding them."""
    for pk in (ALL, DRY_RUNS):
        JobTotals.objects.get_or_create(pk=pk, defaults={"until": START})
        _advance(pk)


def _advance(pk: int) -> None:
    skip = connection.features.has_select_for_update_skip_locked
    with transaction.atomic():
        totals = JobTotals.objects.select_for_update(skip_locked=skip).filter(pk=pk).first()
        if totals is None:
            return
        due = jobs_of(totals).filter(notified__gt=totals.until, notified__lte=timezone.now() - MARGIN)
        ends = due.order_by("notified").values_list("notified", flat=True)
        last = ends[MAX_JOBS - 1 : MAX_JOBS].first() or ends.last()
        if last is None:
            return
        new = due.filter(notified__lte=last)
        totals.until = last
        totals.states = add(totals.states, count_by_state(new))
        totals.counts = add(totals.counts, sum_by_outcome(new)[0])
        totals.save()


def add(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """Return the sums of two mappings, key by key."""
    return dict(Counter(one) + Counter(other))


def count_by_state(jobs: QuerySet[LinkingJob]) -> dict[str, int]:
    """Return the number of jobs by state."""
    return dict(jobs.order_by().values_list("state").annotate(jobs=Count("pk")))


def sum_by_outcome(*rows: QuerySet[Any]) -> list[dict[str, int]]:
    """Return the sums of ``counts`` by outcome, for each of several querysets, in one statement."""
    sums = {f"n_{outcome}": Sum(Cast(KT(f"counts__{outcome}"), BigIntegerField())) for outcome in OUTCOMES}
    first, *others = (
        found.order_by().annotate(part=Value(number)).values("part").annotate(**sums).values_list("part", *sums)
        for number, found in enumerate(rows)
    )
    found = {part: numbers for part, *numbers in first.union(*others, all=True)}
    return [
        {outcome: number for outcome, number in zip(OUTCOMES, found.get(part, ()), strict=False) if number}
        for part in range(len(rows))
    ]
