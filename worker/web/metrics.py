"""What Prometheus reads at ``/metrics``: sums over the ledger, made when it asks, the same from every process.

Nothing is counted in processes, so none that ends takes a count with it. However many jobs there are, a scrape is
STATEMENTS statements over jobs, slices and files, never over learners, and names neither learner nor program.
"""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError
from django.db.models import Avg, BigIntegerField, Count, F, Max, Min, Q, QuerySet, Sum, Value
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce, Greatest
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from linking.bulk import Outcome
from worker.models import InboxFile, JobSlice, LinkingJob

log = logging.getLogger(__name__)

STATEMENTS = 6
"""Statements of one scrape."""
WINDOW = timedelta(minutes=15)
"""How far back the duration of slices looks: longer than a scrape interval, short enough for an alert to end."""
OUTCOMES = [outcome for outcome in Outcome if outcome != Outcome.PENDING]


def metrics(request: HttpRequest) -> HttpResponse:
    """Answer a scrape, in the format that it accepts; 503 where the database does not answer."""
    registry = CollectorRegistry()
    registry.register(LedgerCollector())
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    try:
        return HttpResponse(encode(registry), content_type=content_type)
    except DatabaseError as error:
        log.warning("no metrics: the database does not answer (%s)", type(error).__name__)
        return HttpResponse(status=503)


class LedgerCollector(Collector):
    """The ledger as metrics."""

    def collect(self) -> Iterator[Metric]:
        """Yield every metric, with a sample for each state and outcome there can be: an alert needs the zeros too."""
        now = timezone.now()
        yield from _jobs(now)
        yield _learners()
        yield _open_learners()
        yield _idle(now)
        yield from _slices(now)
        yield _files()


def _jobs(now: datetime) -> Iterator[Metric]:
    rows = LinkingJob.objects.values("state").annotate(jobs=Count("pk"), oldest=Min("created"))
    states = {row["state"]: row for row in rows}
    family = GaugeMetricFamily("linking_jobs", "Jobs in the ledger by state.", labels=["state"])
    for state in LinkingJob.State:
        family.add_metric([state], states[state]["jobs"] if state in states else 0)
    yield family
    oldest = min((states[state]["oldest"] for state in LinkingJob.OPEN_STATES if state in states), default=now)
    text = "Seconds since the oldest job that is received or running was asked for; 0 where there is none."
    yield GaugeMetricFamily("linking_oldest_open_job_age_seconds", text, (now - oldest).total_seconds())


def _learners() -> Metric:
    """Sum in one statement: a job that ends between two would be counted twice, or not at all."""
    ended = _sums(LinkingJob.objects.exclude(notified=None))
    under_way = _sums(JobSlice.objects.filter(job__notified=None))
    rows = list(ended.union(under_way, all=True))
    text = "Learners by outcome, over all jobs."
    family = CounterMetricFamily("linking_learners", text, labels=["outcome"])
    for outcome, *numbers in zip(OUTCOMES, *rows, strict=True):
        family.add_metric([outcome], sum(number or 0 for number in numbers))
    return family


def _sums(rows: QuerySet[Any]) -> QuerySet[Any, Any]:
    """Return a query of one row: the sums of ``counts`` by outcome."""
    sums = {f"n_{outcome}": Sum(Cast(KT(f"counts__{outcome}"), BigIntegerField())) for outcome in OUTCOMES}
    summed: QuerySet[Any, Any] = rows.order_by().annotate(all=Value(1)).values("all").annotate(**sums)
    return summed.values_list(*sums)


def _open_learners() -> Metric:
    unfinished = JobSlice.objects.filter(job__state__in=LinkingJob.OPEN_STATES, finished=None)
    text = "Learners in slices that are not finished."
    return GaugeMetricFamily(
        "linking_open_learners", text, unfinished.aggregate(learners=Sum("total"))["learners"] or 0
    )


def _idle(now: datetime) -> Metric:
    """Leave out jobs that were to wait for another and have not been sent yet: their age tells of them."""
    due = LinkingJob.objects.filter(Q(waits_for=[]) | ~Q(dispatched=None), state__in=LinkingJob.OPEN_STATES)
    moments = (Coalesce(name, "created") for name in ("dispatched", "resumed", "touched"))
    last = due.annotate(touched=Max("slices__touched")).annotate(last=Greatest("created", *moments))
    oldest = last.aggregate(oldest=Min("last"))["oldest"] or now
    text = "Seconds for which nothing has happened to the open job that stands still longest; 0 where there is none."
    return GaugeMetricFamily("linking_open_job_idle_seconds", text, max((now - oldest).total_seconds(), 0))


def _slices(now: datetime) -> Iterator[Metric]:
    """Describe the slices finished of late; by way of their jobs, since slices have no index by time."""
    since = now - WINDOW
    recent = JobSlice.objects.filter(Q(job__finished=None) | Q(job__finished__gte=since), finished__gte=since)
    took = F("finished") - F("started")
    told = recent.exclude(started=None).aggregate(mean=Avg(took), longest=Max(took), slices=Count("pk"))
    minutes = WINDOW // timedelta(minutes=1)
    text = f"Seconds from a slice's first begin to its end, over those finished in the last {minutes} minutes."
    family = GaugeMetricFamily("linking_slice_duration_seconds", text, labels=["statistic"])
    for statistic in ("mean", "longest"):
        family.add_metric([statistic], (told[statistic] or timedelta()).total_seconds())
    yield family
    yield GaugeMetricFamily("linking_recent_slices", f"Slices finished in the last {minutes} minutes.", told["slices"])


def _files() -> Metric:
    states = dict(InboxFile.objects.values_list("state").annotate(files=Count("pk")))
    family = GaugeMetricFamily("linking_import_files", "Imported files in the ledger by state.", labels=["state"])
    for state in InboxFile.State:
        family.add_metric([state], states.get(state, 0))
    return family
