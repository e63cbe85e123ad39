"""Run a benchmark on running servers, and print and write its results."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from benchmarks import callers, chart, distance, latency, machine, memory, results, tables
from benchmarks.databases import Databases
from benchmarks.measuring import Figure, measure
from benchmarks.plan import SMALL, Plan
from benchmarks.variants import ChordPerLearner, ChordWorker, Engine, HandwrittenSql, Sequential, Variant, Worker
from devservers import WorkerProcess

FOLDER = Path(__file__).parent
VARIANTS: Sequence[Variant] = (Sequential(), ChordPerLearner(), Engine(), Worker(), HandwrittenSql())


def run(plan: Plan, server_url: str, broker_url: str, console: Console) -> None:
    """Measure, print, and write the JSON file and the chart; the README gets the figures unless the plan is small.

    Raises:
        DifferenceError: variants left different rows.
    """
    began = time.monotonic()
    databases = Databases(server_url)
    with console.status(f"creating three programs of {plan.largest:,} learners"):
        databases.make_templates(plan.largest)
    with ExitStack() as workers:
        workers.enter_context(WorkerProcess({}, concurrency=2))
        workers.enter_context(ChordWorker({}, concurrency=2))
        with console.status("measuring") as status:

            def report(figure: Figure) -> None:
                status.update(f"{figure.workload}, {figure.size:,}: {figure.letter} {figure.rate:,.0f} a second")
                console.log(
                    f"{figure.workload}, {figure.learners:,} learners, {figure.letter}: {figure.seconds[-1]:.2f} s,"
                    f" median {figure.rate:,.0f} a second of {len(figure.seconds)}"
                )

            figures, compared = measure(plan, databases, VARIANTS, report)
        with console.status("measuring jobs of one learner"):
            latencies = list(latency.measure(databases, plan.singles, plan.largest))
        with console.status("measuring many callers"):
            bursts = list(callers.measure(databases, plan.bursts))
    with console.status("measuring a worker far from its database"):
        distant = list(distance.measure(databases, server_url, plan.distant))
    streamed = []
    if plan.stream:
        with console.status(f"measuring streamed jobs of up to {plan.stream[-1]:,} learners"):
            streamed = memory.measure(databases, plan.stream)
    with databases.connect("postgres") as connection:
        found = results.Results(
            plan=plan,
            machine=machine.describe(connection, broker_url),
            variants=VARIANTS,
            figures=figures,
            compared=compared,
            latencies=latencies,
            bursts=bursts,
            distant=distant,
            streamed=streamed,
            seconds=time.monotonic() - began,
        )
    tables.print_tables(found, console)
    name = "small" if plan is SMALL else "latest"
    results.write_json(found, FOLDER / "results" / f"{name}.json")
    chart.write_chart(found, FOLDER / "results" / f"{name}.svg")
    if name == "latest":
        tables.write_markdown(found, FOLDER / "README.md")
    console.print(f"Written: benchmarks/results/{name}.json and {name}.svg")
