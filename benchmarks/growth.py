"""A ledger with a long history: time of what is asked every few seconds, of pages and of submissions; and of a purge.

``python -m benchmarks.growth [--jobs N] [--learners N] [--purge N]``: each call is measured with 10 ended jobs and with
N of them, beside the same open jobs, and the purge of N learners beside small jobs that run in another thread.
"""

import argparse
import os
import statistics
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console
from rich.table import Table

from benchmarks.servers import start_servers

FEW, MANY = "few", "many"
"""Databases."""
TURNS, CALLS = 4, 4
"""Turns of each database, and measured calls in a turn."""
OPEN_JOBS = 20
HISTORY = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000, help="ended jobs (default 1000000)")
    parser.add_argument("--learners", type=int, default=20_000_000, help="their learners (default 20000000)")
    parser.add_argument("--purge", type=int, default=10_000_000, help="learners to purge (default 10000000)")
    options = parser.parse_args()
    console = Console(highlight=False)
    with ExitStack() as stack:
        os.environ |= {"ALLOWED_HOSTS": "testserver", "TLS_PROXY": "0"}
        server_url, _ = start_servers(stack, brokers=1)
        calls = {}
        for name, jobs, learners in ((FEW, 10, 1_000), (MANY, options.jobs, options.learners)):
            with psycopg.connect(server_url, autocommit=True) as server:
                server.execute(f"CREATE DATABASE {name}".encode())
            began = time.perf_counter()
            _use(name)
            _write_history(jobs, learners)
            calls[name] = _calls(jobs)
            took = time.perf_counter() - began
            console.print(f"{jobs:,} ended jobs, {learners:,} learners: written in {took:,.0f} s")
        table = Table("call", "10 jobs, ms", f"{options.jobs:,} jobs, ms", "ratio")
        for call in calls[FEW]:
            few, many = _measure(calls[FEW][call], calls[MANY][call])
            table.add_row(call, f"{few * 1000:.1f}", f"{many * 1000:.1f}", f"{many / few:.2f}")
        console.print(table)
        _measure_purge(options.purge, console)


def _use(database: str) -> None:
    from django.db import connection  # noqa: PLC0415 - models need Django to be set up

    connection.close()
    connection.settings_dict["NAME"] = database


def _write_history(jobs: int, learners: int) -> None:
    from django.core.management import call_command  # noqa: PLC0415 - models need Django to be set up
    from django.db import connection  # noqa: PLC0415

    from tests.support.jobs import submit  # noqa: PLC0415
    from tests.support.populations import add_learners  # noqa: PLC0415
    from worker.jobs.totals import advance_totals  # noqa: PLC0415
    from worker.models import JobTotals  # noqa: PLC0415

    call_command("migrate", verbosity=0)
    large = max((learners - jobs) * 100 // jobs, 1)
    with connection.cursor() as cursor:
        cursor.execute(HISTORY, {"jobs": jobs, "large": large})
    for _ in range(OPEN_JOBS):
        submit(add_learners(10))
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")
    until = None
    while until != (until := JobTotals.objects.values_list("until", flat=True).first()) or until is None:
        advance_totals()


def _calls(jobs: int) -> dict[str, Callable[[], Any]]:
    from django.contrib.auth import get_user_model  # noqa: PLC0415 - models need Django to be set up
    from django.test import Client  # noqa: PLC0415

    from tests.support.jobs import run_job, submit  # noqa: PLC0415
    from tests.support.populations import add_learners  # noqa: PLC0415
    from worker.jobs.purge import purge_expired  # noqa: PLC0415
    from worker.jobs.queueing import released_by  # noqa: PLC0415
    from worker.jobs.recovery import claim_stalled_jobs, routes_in_use  # noqa: PLC0415
    from worker.jobs.totals import advance_totals  # noqa: PLC0415
    from worker.models import LinkingJob  # noqa: PLC0415

    LinkingJob.objects.filter(notified=None).update(created=LinkingJob.objects.latest("created").created)
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("operator"))
    pages = "/admin/worker/linkingjob/"
    job = LinkingJob.objects.exclude(notified=None).latest("created")

    def page(path: str) -> Callable[[], Any]:
        def get() -> None:
            assert client.get(path).status_code == 200  # noqa: PLR2004, S101 - a failure would be fast

        return get

    def sweep() -> None:
        routes_in_use()
        advance_totals()
        claim_stalled_jobs()

    return {
        "a sweep": sweep,
        "jobs released by a job": lambda: (released_by(job, [1]), released_by(job, None)),
        "submission of 1 learner": lambda: submit(add_learners(1)),
        "submission of 100 learners": lambda: submit(add_learners(100)),
        "a job of 1 learner, in this process": lambda: run_job(add_learners(1)),
        "metrics": page("/metrics"),
        "list of jobs": page(pages),
        "its last page": page(f"{pages}?p={max(min(jobs, 10_000) // 25, 1)}"),
        "failed jobs": page(f"{pages}?state=failed"),
        "undos": page(f"{pages}?kind=undo"),
        "dry runs": page(f"{pages}?kind=preview"),
        "search for the first digits of an id": page(f"{pages}?q={str(job.pk)[:8]}"),
        "search for a file": page(f"{pages}?q=roster-{jobs // 200 * 100}.csv"),
        "a job's page": page(f"{pages}{job.pk}/change/"),
        "list of results": page("/admin/django_celery_results/taskresult/"),
        "a purge that finds nothing": purge_expired,
    }


def _measure(few: Callable[[], Any], many: Callable[[], Any]) -> tuple[float, float]:
    """Return the medians of the seconds of two calls on their databases, which take turns: other load affects both."""
    seconds: dict[str, list[float]] = {FEW: [], MANY: []}
    for _ in range(TURNS):
        for database, call in ((FEW, few), (MANY, many)):
            _use(database)
            call()  # Connects.
            for _ in range(CALLS):
                began = time.perf_counter()
                call()
                seconds[database].append(time.perf_counter() - began)
    return statistics.median(seconds[FEW]), statistics.median(seconds[MANY])


def _measure_purge(learners: int, console: Console) -> None:
    """Purge the oldest jobs that have so many learners; print its time, and that of small jobs before and beside it."""
    from django.db import connection  # noqa: PLC0415 - models need Django to be set up
    from django.utils import timezone  # noqa: PLC0415

    from tests.support.jobs import run_job  # noqa: PLC0415
    from tests.support.populations import add_learners  # noqa: PLC0415
    from worker.jobs.purge import purge_expired  # noqa: PLC0415
    from worker.models import LinkingJob  # noqa: PLC0415

    large = LinkingJob.objects.filter(total__gt=1).exclude(notified=None).order_by("created")
    chosen, left = [], learners
    for pk, total in large.values_list("pk", "total"):
        if left <= 0:
            break
        chosen.append(pk)
        left -= total
    LinkingJob.objects.filter(pk__in=chosen).update(finished=timezone.now() - timedelta(days=100))
    done = threading.Event()
    took: list[float] = []

    def run_small_jobs() -> None:
        while not done.is_set():
            mapping = add_learners(1)
            began = time.perf_counter()
            run_job(mapping)
            took.append(time.perf_counter() - began)
            time.sleep(0.02)
        connection.close()

    def report(name: str) -> None:
        cuts = statistics.quantiles(took, n=100) if len(took) > 1 else took * 99
        console.print(f"small jobs {name}: {len(took):,}, p50 {cuts[49] * 1000:.0f} ms, p99 {cuts[98] * 1000:.0f} ms")
        took.clear()

    thread = threading.Thread(target=run_small_jobs)
    thread.start()
    time.sleep(10)
    report("before the purge")
    removed, steps, is_all = 0, [], False
    while not is_all:
        began = time.perf_counter()
        counts, is_all = purge_expired()
        steps.append(time.perf_counter() - began)
        removed += counts["learners"]
    done.set()
    thread.join()
    report("beside the purge")
    console.print(
        f"purged {removed:,} learners of {len(chosen):,} jobs in {sum(steps):,.0f} s: {removed / sum(steps):,.0f} a"
        f" second, {len(steps)} runs of at most {max(steps):.0f} s"
    )


if __name__ == "__main__":
    main()
