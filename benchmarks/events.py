"""The cost of events: the worker that records none, one that records them, and one that also delivers them meanwhile.

``python -m benchmarks.events [--database NAME] [--learners N] [--runs N]``: the three take turns on equal databases.
Each ratio compares consecutive runs, so that other load on the machine affects both. Afterwards the events of the last
job are delivered to a receiver that does nothing.
"""

import argparse
import statistics
import sys
import time
from contextlib import ExitStack
from typing import Any

from celery import Celery
from rich.console import Console

from benchmarks.servers import start_servers
from devservers import WorkerProcess

ON = {"LINKING_EVENT_RECEIVERS": "benchmarks.events.receive"}
WORKERS: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "none": ({}, ()),
    "recorded": (ON, ("-Q", "linking,linking.bulk,linking.recovery")),
    "delivered": (ON, ()),
}
"""Environment and options of the workers."""


def receive(**_: Any) -> None:
    """Do nothing with an event."""


def main() -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.events", description=__doc__)
    parser.add_argument("--database", choices=["postgres", "mysql", "mariadb"], default="postgres")
    parser.add_argument("--learners", type=int, default=20_000, help="learners in the job (default 20000)")
    parser.add_argument("--runs", type=int, default=5, help="runs of each worker (default 5)")
    options = parser.parse_args()
    console = Console(highlight=False)
    with ExitStack() as stack:
        server_url, urls = start_servers(stack, brokers=len(WORKERS), database=options.database)
        from benchmarks.__main__ import databases_of  # noqa: PLC0415 - models need Django to be set up
        from benchmarks.variants import TASK, WARM_UP, send, wait_for_result  # noqa: PLC0415
        from benchmarks.workloads import EMPTY_PROGRAM, PROGRAM, Workload, read_mapping  # noqa: PLC0415

        databases = databases_of(options.database, server_url, stack)
        workloads = (Workload.FRESH, Workload.RELINK)
        databases.make_templates(options.learners, workloads)
        services = {}
        for (name, (env, extra)), url in zip(WORKERS.items(), urls, strict=True):
            services[name] = Celery(broker=url, set_as_current=False)
            services[name].conf.update(broker_read_url=url, broker_write_url=url, task_default_queue="linking")
            stack.enter_context(WorkerProcess({"CELERY_BROKER_URL": url, **env}, concurrency=2, options=extra))

        def run(name: str, workload: Workload) -> float:
            databases.restore(workload)
            with databases.connect() as connection:
                mapping = read_mapping(connection, options.learners)
                wait_for_result(connection, send(services[name], TASK, EMPTY_PROGRAM, WARM_UP))
                began = time.perf_counter()
                wait_for_result(connection, send(services[name], TASK, PROGRAM, mapping))
                return time.perf_counter() - began

        for workload in workloads:
            taken: dict[str, list[float]] = {name: [] for name in WORKERS}
            for number in range(options.runs):
                for name in [*WORKERS][:: 1 if number % 2 else -1]:
                    taken[name].append(run(name, workload))
                console.print(f"{workload}: " + ", ".join(f"{name} {times[-1]:.2f} s" for name, times in taken.items()))
            for name in ("recorded", "delivered"):
                ratios = [one / other for one, other in zip(taken[name], taken["none"], strict=True)]
                console.print(
                    f"{options.database}, {options.learners:,} {workload} learners, 2 processes, {options.runs} runs:"
                    f" none {statistics.median(taken['none']):.2f} s, {name} {statistics.median(taken[name]):.2f} s;"
                    f" ratio of consecutive runs: median {statistics.median(ratios):.3f},"
                    f" {min(ratios):.3f} to {max(ratios):.3f}"
                )
        run("recorded", Workload.FRESH)
        _deliver(console)
    return 0


def _deliver(console: Console) -> None:
    from linking import events  # noqa: PLC0415 - models need Django to be set up
    from linking.signals import course_enrollment_changed, course_role_changed  # noqa: PLC0415

    for signal in (course_enrollment_changed, course_role_changed):
        signal.connect(receive)
    began, delivered = time.perf_counter(), 0
    while done := events.deliver(None):
        delivered += done.delivered
        if not done.more:
            break
    rate = delivered / (time.perf_counter() - began)
    console.print(f"{delivered:,} events delivered to a receiver that does nothing: {rate:,.0f} a second")


if __name__ == "__main__":
    sys.exit(main())
