"""Run a benchmark on running servers, and print and write its results."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from benchmarks import callers, chart, distance, latency, machine, memory, results, tables
from benchmarks.interface import Databases
from benchmarks.measuring import Figure, measure
from benchmarks.plan import Plan
from benchmarks.variants import ChordPerLearner, ChordWorker, Variant
from devservers import WorkerProcess

FOLDER = Path(__file__).parent


def run(
    plan: Plan, databases: Databases, variants: Sequence[Variant], *, server_url: str, broker_url: str, console: Console
) -> None:
    """Measure, print, and write the JSON file, the chart, and the figures of the plan in the README.

    Raises:
        DifferenceError: variants left different rows.
    """
    began = time.monotonic()
    with console.status(f"creating three programs of {plan.largest:,} learners"):
        databases.make_templates(plan.largest)
    with ExitStack() as workers:
        workers.enter_context(WorkerProcess({}, concurrency=2))
        if any(isinstance(variant, ChordPerLearner) for variant in variants):
            workers.enter_context(ChordWorker({}, concurrency=2))
        with console.status("measuring") as status:

            def report(figure: Figure) -> None:
                status.update(f"{figure.workload}, {figure.size:,}: {figure.letter} {figure.rate:,.0f} a second")
                console.log(
                    f"{figure.workload}, {figure.learners:,} learners, {figure.letter}: {figure.seconds[-1]:.2f} s,"
                    f" median {figure.rate:,.0f} a second of {len(figure.seconds)}"
                )

            figures, compared = measure(plan, databases, variants, report)
        with console.status("measuring jobs of one learner"):
            latencies = list(latency.measure(databases, plan.singles, plan.largest)) if plan.singles else []
        with console.status("measuring many callers"):
            bursts = list(callers.measure(databases, plan.bursts))
    with console.status("measuring a worker far from its database"):
        distant = list(distance.measure(databases, server_url, plan.distant)) if plan.distant else []
    streamed = []
    if plan.stream:
        with console.status(f"measuring streamed jobs of up to {plan.stream[-1]:,} learners"):
            streamed = memory.measure(databases, plan.stream)
    found = results.Results(
        plan=plan,
        machine=machine.describe(databases.version(), broker_url),
        variants=variants,
        figures=figures,
        compared=compared,
        latencies=latencies,
        bursts=bursts,
        distant=distant,
        streamed=streamed,
        seconds=time.monotonic() - began,
    )
    tables.print_tables(found, console)
    results.write_json(found, FOLDER / "results" / f"{plan.output}.json")
    chart.write_chart(found, FOLDER / "results" / f"{plan.output}.svg")
    if plan.figures:
        tables.write_markdown(found, FOLDER / "README.md")
    console.print(f"Written: benchmarks/results/{plan.output}.json and {plan.output}.svg")
