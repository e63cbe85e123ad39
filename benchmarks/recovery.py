"""The cost of recovery for an undisturbed job: the worker compared with one without recovery.

``python -m benchmarks.recovery [--learners N] [--runs N]``: the two workers take turns on equal databases. Each ratio
compares two consecutive runs, so that other load on the machine affects both.
"""

import argparse
import statistics
import sys
import time
from contextlib import ExitStack

from celery import Celery
from rich.console import Console

from benchmarks.servers import start_servers
from devservers import WorkerProcess


def main() -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recovery", description=__doc__)
    parser.add_argument("--learners", type=int, default=20_000, help="learners in the job (default 20000)")
    parser.add_argument("--runs", type=int, default=9, help="runs of each worker (default 9)")
    options = parser.parse_args()
    console = Console(highlight=False)
    with ExitStack() as stack:
        server_url, urls = start_servers(stack, brokers=2)
        from benchmarks.databases import Databases  # noqa: PLC0415
        from benchmarks.variants import TASK, WARM_UP, send, wait_for_result  # noqa: PLC0415 - models need Django to be set up
        from benchmarks.workloads import EMPTY_PROGRAM, PROGRAM, Workload, read_mapping  # noqa: PLC0415

        databases = Databases(server_url)
        databases.make_templates(options.learners, (Workload.FRESH,))
        services = [Celery(broker=url, set_as_current=False) for url in urls]
        for url, extra in zip(urls, ((), ("-I", "benchmarks.without_recovery")), strict=True):
            stack.enter_context(WorkerProcess({"CELERY_BROKER_URL": url}, concurrency=2, options=extra))

        def run(service: Celery, url: str) -> float:
            databases.restore(Workload.FRESH)
            service.conf.update(broker_read_url=url, broker_write_url=url)
            with databases.connect() as connection:
                mapping = read_mapping(connection, options.learners)
                wait_for_result(connection, send(service, TASK, EMPTY_PROGRAM, WARM_UP))
                began = time.perf_counter()
                wait_for_result(connection, send(service, TASK, PROGRAM, mapping))
                return time.perf_counter() - began

        pairs = []
        for number in range(options.runs):
            turn = (0, 1) if number % 2 else (1, 0)
            took = {index: run(services[index], urls[index]) for index in turn}
            pairs.append((took[0], took[1]))
            console.print(f"with recovery {took[0]:.2f} s, without {took[1]:.2f} s: {took[0] / took[1]:.3f}")
    ratios = [one / other for one, other in pairs]
    low, _, high = statistics.quantiles(ratios, n=4)
    console.print(
        f"{options.learners:,} fresh learners, 2 processes, {options.runs} runs each: median"
        f" {statistics.median(one for one, _ in pairs):.2f} s with recovery,"
        f" {statistics.median(other for _, other in pairs):.2f} s without; ratio of consecutive runs: median"
        f" {statistics.median(ratios):.3f}, quartiles {low:.3f} to {high:.3f}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
