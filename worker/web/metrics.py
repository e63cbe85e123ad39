"""Metrics for Prometheus at ``/metrics``: aggregates of the ledger, computed for each scrape.

No process keeps counters, so none are lost when a process ends, and each gives the same values. A scrape takes
STATEMENTS statements over jobs, slices and files, none over learners; labels name no learner and no program.
"""

import logging
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError
from django.db.models import Avg, BigIntegerField, Count, F, Max, Min, Q, QuerySet, Sum, Value
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce, Greatest
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from linking.bulk import Outcome
from worker.models import InboxFile, JobSlice, LinkingJob

log = logging.getLogger(__name__)

STATEMENTS = 6
"""Statements of one scrape."""
WINDOW = timedelta(minutes=15)
"""Age of the slices whose duration is measured: more than a scrape interval, and short enough for an alert to end."""
OUTCOMES = [outcome for outcome in Outcome if outcome != Outcome.PENDING]


def metrics(request: HttpRequest) -> HttpResponse:
    """Return the metrics in the format that the scraper accepts; 503 if the database does not answer."""
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    try:
        return HttpResponse(encode(LedgerCollector()), content_type=content_type)
    except DatabaseError as error:
        log.warning("no metrics: the database does not answer (%s)", type(error).__name__)
        return HttpResponse(status=503)


class LedgerCollector(Collector):
    """Metrics of the ledger."""

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics, with a sample for each possible state and outcome: alerts need the zeros, too."""
        now = timezone.now()
        yield from _jobs(now)
        yield from _learners()
        yield _idle(now)
        yield from _slices(now)
        files = dict(InboxFile.objects.values_list("state").annotate(files=Count("pk")))
        counts = {state.value: files.get(state, 0) for state in InboxFile.State}
        yield _gauges("linking_import_files", "Imported files by state.", "state", counts)


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for label_value, value in values.items():
        family.add_metric([label_value], value)
    return family


def _jobs(now: datetime) -> Iterator[Metric]:
    rows = LinkingJob.objects.values_list("state").annotate(Count("pk"), Min("created"))
    states = {state: (count, created) for state, count, created in rows}
    counts = {state.value: states.get(state, (0, now))[0] for state in LinkingJob.State}
    yield _gauges("linking_jobs", "Jobs by state.", "state", counts)
    oldest = min(states.get(state, (0, now))[1] for state in LinkingJob.OPEN_STATES)
    text = "Age in seconds of the oldest job that has not ended; 0 if there is none."
    yield GaugeMetricFamily("linking_oldest_open_job_age_seconds", text, (now - oldest).total_seconds())


def _learners() -> Iterator[Metric]:
    # One statement: with two, a job that ends in between would be counted twice or not at all.
    ended = _sums(LinkingJob.objects.exclude(notified=None))
    sums = list(ended.union(_sums(JobSlice.objects.filter(job__notified=None)), all=True))
    family = CounterMetricFamily("linking_learners", "Learners of all jobs by outcome.", labels=["outcome"])
    for outcome, *numbers in zip(OUTCOMES, *sums, strict=True):
        family.add_metric([outcome], sum(number or 0 for number in numbers))
    yield family
    unfinished = JobSlice.objects.filter(job__state__in=LinkingJob.OPEN_STATES, finished=None)
    text = "Learners in slices of open jobs that are not finished."
    yield GaugeMetricFamily("linking_open_learners", text, unfinished.aggregate(Sum("total"))["total__sum"] or 0)


def _sums(rows: QuerySet[Any]) -> QuerySet[Any, Any]:
    """Return a query of one row: the sums of ``counts`` by outcome."""
    sums = {f"n_{outcome}": Sum(Cast(KT(f"counts__{outcome}"), BigIntegerField())) for outcome in OUTCOMES}
    summed: QuerySet[Any, Any] = rows.order_by().annotate(all=Value(1)).values("all").annotate(**sums)
    return summed.values_list(*sums)


def _idle(now: datetime) -> Metric:
    """Measure how long open jobs made no progress; jobs that wait for others are covered by the oldest job's age."""
    due = LinkingJob.objects.open().filter(Q(waits_for=[]) | ~Q(dispatched=None))
    moments = (Coalesce(name, "created") for name in ("dispatched", "resumed", "touched"))
    last = due.annotate(touched=Max("slices__touched")).annotate(last=Greatest("created", *moments))
    oldest = last.aggregate(oldest=Min("last"))["oldest"] or now
    text = "Seconds since the last progress of the open job that has made none for longest; 0 if there is none."
    return GaugeMetricFamily("linking_open_job_idle_seconds", text, max((now - oldest).total_seconds(), 0))


def _slices(now: datetime) -> Iterator[Metric]:
    """Measure recently finished slices; the query goes through their jobs, as slices have no index by time."""
    since = now - WINDOW
    recent = JobSlice.objects.filter(Q(job__finished=None) | Q(job__finished__gte=since), finished__gte=since)
    took = F("finished") - F("started")
    found = recent.exclude(started=None).aggregate(mean=Avg(took), longest=Max(took), slices=Count("pk"))
    seconds = {name: (found[name] or timedelta()).total_seconds() for name in ("mean", "longest")}
    window = f"the last {WINDOW // timedelta(minutes=1)} minutes"
    text = f"Seconds from the first start of a slice to its end, for slices finished in {window}."
    yield _gauges("linking_slice_duration_seconds", text, "statistic", seconds)
    yield GaugeMetricFamily("linking_recent_slices", f"Slices finished in {window}.", found["slices"])
