"""Metrics for Prometheus at ``/metrics``: aggregates of the ledger, computed for each scrape.

No process keeps counters, so none are lost when a process ends, and each gives the same values. A scrape takes
STATEMENTS statements over open and recently ended jobs, their slices, and files, none over learners or the history
(:mod:`worker.jobs.totals`); labels name no learner and no program.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import reduce
from typing import TypeVar

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Avg, Count, F, Max, Min, Q, Sum, Value
from django.db.models.functions import Coalesce, Greatest
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from linking.events import MOST, backlog
from worker.celery.dead_letters import are_kept, count_dead_letters
from worker.jobs.routing import ROUTES, delivered_until
from worker.jobs.totals import OUTCOMES, add, jobs_beside, jobs_of, read_totals, sum_by_outcome
from worker.models import InboxFile, JobSlice, JobTotals, LinkingJob, Pause
from worker.models.pauses import is_paused

log = logging.getLogger(__name__)

Family = TypeVar("Family", GaugeMetricFamily, CounterMetricFamily)

STATEMENTS = 12
"""Statements of one scrape; one more while something is paused."""
WINDOW = timedelta(minutes=15)
"""Age of the slices whose duration is measured: more than a scrape interval, and short enough for an alert to end."""


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
        totals = read_totals()
        yield from _jobs(now, totals)
        yield from _learners(totals)
        yield _idle(now)
        yield from _brakes(now)
        yield from _slices(now)
        yield from _events(now)
        files = dict(InboxFile.objects.values_list("state").annotate(files=Count("pk")))
        counts = {state.value: files.get(state, 0) for state in InboxFile.State}
        yield _gauges("linking_import_files", "Imported files by state.", "state", counts)
        yield from _dead_letters()


def _dead_letters() -> Iterator[Metric]:
    """Count the messages that RabbitMQ gave up: the only metric that the broker is asked for, on quorum queues."""
    try:
        number = count_dead_letters() if are_kept() else 0
    except Exception as error:  # noqa: BLE001 - kombu raises many
        log.warning("the dead letters cannot be counted (%s)", type(error).__name__)
        return
    text = "Messages of quorum queues that RabbitMQ gave up."
    yield GaugeMetricFamily("linking_dead_letters", text, number)


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for label_value, value in values.items():
        family.add_metric([label_value], value)
    return family


def _by_dry_run(family: Family, names: Iterable[str], counts: Sequence[Mapping[str, int]]) -> Family:
    """Add a sample for each name to a metric, apart for dry runs; ``counts`` are of all jobs and of dry runs."""
    every, dry_runs = counts
    for name in names:
        rehearsed = dry_runs.get(name, 0)
        family.add_metric([name, "no"], every.get(name, 0) - rehearsed)
        family.add_metric([name, "yes"], rehearsed)
    return family


def _jobs(now: datetime, totals: Sequence[JobTotals]) -> Iterator[Metric]:
    # One statement: with two, a job that ends in between would be counted in two states or in none.
    first, *others = (
        jobs_beside(part)
        .order_by()
        .annotate(part=Value(part.pk))
        .values("part", "state")
        .annotate(Count("pk"), oldest=Min("created", filter=~is_paused()))
        for part in totals
    )
    found = {(one["part"], one["state"]): one for one in first.union(*others, all=True)}
    counts = [
        add(part.states, {state: one["pk__count"] for (pk, state), one in found.items() if pk == part.pk})
        for part in totals
    ]
    family = GaugeMetricFamily("linking_jobs", "Jobs by state.", labels=["state", "dry_run"])
    yield _by_dry_run(family, map(str, LinkingJob.State), counts)
    oldest = min(
        (one["oldest"] or now for (_, state), one in found.items() if state in LinkingJob.OPEN_STATES),
        default=now,
    )
    text = "Age in seconds of the oldest job that has not ended and is not paused; 0 if there is none."
    yield GaugeMetricFamily("linking_oldest_open_job_age_seconds", text, (now - oldest).total_seconds())


def _learners(totals: Sequence[JobTotals]) -> Iterator[Metric]:
    # One statement: with two, a job that ends in between would be counted twice or not at all.
    slices = JobSlice.objects.filter(job__notified=None)
    ended = (jobs_of(part).filter(notified__gt=part.until) for part in totals)
    sums = sum_by_outcome(*ended, slices, slices.filter(job__options__dry_run=True))
    counts = [reduce(add, (part.counts, *sums[place::2])) for place, part in enumerate(totals)]
    family = CounterMetricFamily("linking_learners", "Learners by outcome.", labels=["outcome", "dry_run"])
    yield _by_dry_run(family, OUTCOMES, counts)
    unfinished = JobSlice.objects.filter(job__state__in=LinkingJob.OPEN_STATES, finished=None)
    text = "Learners in slices of open jobs that are not finished."
    yield GaugeMetricFamily("linking_open_learners", text, unfinished.aggregate(Sum("total"))["total__sum"] or 0)


def _idle(now: datetime) -> Metric:
    """Measure how long open jobs made no progress, by queue; jobs that wait for others have the oldest job's age.

    Paused jobs are left out.

    A queue is idle since the last progress of any of its jobs, and a job since its own if its messages were delivered.
    """
    due = LinkingJob.objects.open().exclude(is_paused()).filter(Q(waits_for=[]) | ~Q(dispatched=None))
    moments = (Coalesce(name, "created") for name in ("dispatched", "resumed", "touched"))
    last = due.annotate(touched=Max("slices__touched")).annotate(last=Greatest("created", *moments))
    delivered = delivered_until()
    lowest = (0, *(route.most + 1 for route in ROUTES))
    by_queue, is_delivered = dict[str, Q](), Q(last=None)  # No job.
    for least, route in zip(lowest, ROUTES, strict=False):
        jobs = Q(total__range=(least, route.most))
        by_queue[route.queue] = by_queue.get(route.queue, Q()) | jobs
        if route.name in delivered:
            is_delivered |= jobs & Q(last__lt=delivered[route.name])
    queues = {f"queue{number}": Max("last", filter=jobs) for number, jobs in enumerate(by_queue.values())}
    times = last.aggregate(job=Min("last", filter=is_delivered), **queues).values()
    oldest = min(filter(None, times), default=now)
    text = (
        "Seconds since the last progress of the queue, or of the open job with delivered messages, that has made none"
        " for longest; 0 if there is none."
    )
    return GaugeMetricFamily("linking_open_job_idle_seconds", text, max((now - oldest).total_seconds(), 0))


def _brakes(now: datetime) -> Iterator[Metric]:
    oldest = Pause.objects.aggregate(Min("created"))["created__min"]
    paused = LinkingJob.objects.open().filter(is_paused()).count() if oldest else 0
    limit = settings.LINKING_MAX_LEARNERS_PER_SECOND
    yield GaugeMetricFamily("linking_max_learners_per_second", "The maximum rate; 0 if there is none.", limit)
    yield GaugeMetricFamily("linking_paused_jobs", "Open jobs that are paused.", paused)
    text = "Age in seconds of the oldest pause of a job, a program or everything; 0 if nothing is paused."
    yield GaugeMetricFamily("linking_oldest_pause_age_seconds", text, (now - (oldest or now)).total_seconds())


def _slices(now: datetime) -> Iterator[Metric]:
    """Measure recently finished slices; the query goes through their jobs, as slices have no index by time."""
    since = now - WINDOW
    recent = JobSlice.objects.filter(Q(job__notified=None) | Q(job__notified__gte=since), finished__gte=since)
    took = F("finished") - F("started")
    found = recent.exclude(started=None).aggregate(mean=Avg(took), longest=Max(took), slices=Count("pk"))
    seconds = {name: (found[name] or timedelta()).total_seconds() for name in ("mean", "longest")}
    window = f"the last {WINDOW // timedelta(minutes=1)} minutes"
    text = f"Seconds from the first start of a slice to its end, for slices finished in {window}."
    yield _gauges("linking_slice_duration_seconds", text, "statistic", seconds)
    yield GaugeMetricFamily("linking_recent_slices", f"Slices finished in {window}.", found["slices"])


def _events(now: datetime) -> Iterator[Metric]:
    """Count the events that are not delivered."""
    waiting = backlog()
    text = f"Events that are not delivered yet; {MOST} stands for any larger number."
    yield GaugeMetricFamily("linking_undelivered_events", text, waiting.undelivered)
    text = "Events that were given up after their last attempt."
    yield GaugeMetricFamily("linking_failed_events", text, waiting.failed)
    text = "Age in seconds of the oldest event that is not delivered; 0 if there is none."
    age = (now - (waiting.oldest or now)).total_seconds()
    yield GaugeMetricFamily("linking_oldest_undelivered_event_age_seconds", text, age)
