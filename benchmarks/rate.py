"""The maximum rate: how long a job takes under LINKING_MAX_LEARNERS_PER_SECOND, and jobs of one learner beside it.

``python -m benchmarks.rate [--learners N] [--rate N]``: two workers of one process each, as on two machines.
"""

import argparse
import time
from contextlib import ExitStack

from rich.console import Console

from benchmarks.servers import start_servers

BETWEEN = 0.2
"""Seconds between two jobs of one learner."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rate", description=__doc__)
    parser.add_argument("--learners", type=int, default=20_000)
    parser.add_argument("--rate", type=int, default=500, help="learners a second")
    options = parser.parse_args()
    with ExitStack() as stack:
        server_url, _ = start_servers(stack, brokers=1)
        _measure(stack, server_url, options.learners, options.rate)


def _measure(stack: ExitStack, server_url: str, learners: int, rate: int) -> None:
    from benchmarks.databases import Databases  # noqa: PLC0415 - models need Django to be set up
    from benchmarks.latency import Latency, time_one  # noqa: PLC0415
    from benchmarks.variants import TASK, Worker, is_done, send  # noqa: PLC0415
    from benchmarks.workloads import PROGRAM, PROGRAM_OF_SINGLES, Workload, read_mapping, single  # noqa: PLC0415
    from devservers import WorkerProcess  # noqa: PLC0415
    from worker.celery import app  # noqa: PLC0415

    console = Console(highlight=False)
    with console.status("creating a program"):
        databases = Databases(server_url)
        databases.make_templates(learners, (Workload.FRESH,))
        databases.restore(Workload.FRESH)
    for _ in range(2):
        limit = {"LINKING_MAX_LEARNERS_PER_SECOND": str(rate)}
        stack.enter_context(WorkerProcess(limit, concurrency=1))
    with databases.connect() as connection, console.status(f"linking {learners:,} learners, {rate:,} a second"):
        Worker().warm_up(connection)
        mapping = read_mapping(connection, learners)
        began, seconds = time.perf_counter(), list[float]()
        large = send(app, TASK, PROGRAM, dict(mapping))
        while not is_done(connection, large):
            seconds.append(time_one(connection, PROGRAM_OF_SINGLES, *single(len(seconds))))
            time.sleep(BETWEEN)
        took = time.perf_counter() - began
    linked, beside = learners + len(seconds), Latency(where="beside", seconds=tuple(seconds))
    console.print(
        f"{linked:,} learners in {took:.1f} s: {linked / took:,.0f} a second of {rate:,} ({linked / took / rate:.1%});"
        f" {len(seconds)} jobs of one learner: p50 {1000 * beside.p50:.0f} ms, p99 {1000 * beside.p99:.0f} ms"
    )


if __name__ == "__main__":
    main()
