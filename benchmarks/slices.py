"""The best number of learners per subtask and per transaction: the reason for the worker's defaults.

``python -m benchmarks.slices [--learners N] [--runs N]`` measures first the worker end to end with subtasks of each
size (and transactions of at most 1,000 learners), then slices in this process, each in one transaction. The sizes take
turns, so that other load on the machine affects all alike.
"""

import argparse
import statistics
import sys
import time
from collections import defaultdict
from contextlib import ExitStack
from typing import TYPE_CHECKING
from uuid import uuid4

from rich.console import Console
from rich.table import Table

from benchmarks.servers import start_servers
from devservers import WorkerProcess

if TYPE_CHECKING:
    from benchmarks.databases import Databases

SIZES = (16, 100, 312, 1_000, 3_000)
"""Learners per subtask or transaction."""


def main() -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.slices", description=__doc__)
    parser.add_argument("--learners", type=int, default=24_000, help="learners in the job (default 24000)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each size (default 3)")
    options = parser.parse_args()
    with ExitStack() as stack:
        server_url, (broker_url,) = start_servers(stack, brokers=1)
        from benchmarks.databases import Databases  # noqa: PLC0415 - models need Django to be set up
        from benchmarks.workloads import Workload  # noqa: PLC0415

        databases = Databases(server_url)
        databases.make_templates(options.learners, (Workload.FRESH,))
        by_message, in_process = defaultdict[int, list[float]](list), defaultdict[int, list[float]](list)
        with WorkerProcess({"CELERY_BROKER_URL": broker_url}, concurrency=2):
            for _ in range(options.runs):
                for size in SIZES:
                    databases.restore(Workload.FRESH)
                    by_message[size].append(_by_message(databases, options.learners, size))
        for _ in range(options.runs):
            for size in SIZES:
                databases.restore(Workload.FRESH)
                in_process[size].append(_in_process(databases, options.learners, size))
    table = Table("learners each", "subtasks, end to end", "transactions, one process", "one transaction")
    for size in SIZES:
        rate = options.learners / statistics.median(by_message[size])
        took = statistics.median(in_process[size]) / options.learners
        table.add_row(f"{size:,}", f"{rate:,.0f}/s", f"{took * 1e6:.0f} µs a learner", f"{took * size * 1e3:,.0f} ms")
    console = Console(highlight=False)
    console.print(table)
    console.print(f"{options.learners:,} fresh learners, 2 processes end to end; medians of {options.runs} runs")
    return 0


def _by_message(databases: "Databases", total: int, size: int) -> float:
    """Return the seconds from the message to the result."""
    from benchmarks.variants import TASK, WARM_UP, send, wait_for_result  # noqa: PLC0415 - models need Django to be set up
    from benchmarks.workloads import EMPTY_PROGRAM, PROGRAM, read_mapping  # noqa: PLC0415
    from worker.celery import app  # noqa: PLC0415

    with databases.connect() as connection:
        mapping = read_mapping(connection, total)
        wait_for_result(connection, send(app, TASK, EMPTY_PROGRAM, WARM_UP))
        began = time.perf_counter()
        wait_for_result(connection, send(app, TASK, PROGRAM, mapping, learners_per_subtask=size))
        return time.perf_counter() - began


def _in_process(databases: "Databases", total: int, size: int) -> float:
    """Return the seconds that all slices take in this process."""
    from benchmarks.workloads import PROGRAM, read_mapping  # noqa: PLC0415 - models need Django to be set up
    from worker import jobs  # noqa: PLC0415
    from worker.jobs import ledger  # noqa: PLC0415
    from worker.jobs.request import parse_link_request  # noqa: PLC0415
    from worker.jobs.slices import run_slice  # noqa: PLC0415

    ledger.CHUNK = size
    with databases.connect() as connection:
        mapping = read_mapping(connection, total)
    request = parse_link_request((str(PROGRAM), mapping), {"learners_per_subtask": size})
    job = jobs.submit(uuid4(), request, {})
    jobs.start(job)
    numbers = jobs.open_slices(job)
    run_slice(job.pk, numbers[0])  # Connects, plans and imports.
    began = time.perf_counter()
    for number in numbers[1:]:
        run_slice(job.pk, number)
    return (time.perf_counter() - began) * total / (total - size)


if __name__ == "__main__":
    sys.exit(main())
