"""The results as tables: on the terminal, and as Markdown in the README."""

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.distance import DELAY
from benchmarks.results import Results
from benchmarks.workloads import Workload

BEGIN, END = "<!-- {}: begin -->", "<!-- {}: end -->"
"""Markers in the README around the figures of a plan."""


def print_tables(results: Results, console: Console) -> None:
    """Print all results."""
    for title, header, rows in _tables(results):
        table = Table(*header[:1], title=title, title_justify="left")
        for name in header[1:]:
            table.add_column(name, justify="right")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    for line in _notes(results):
        console.print(line)


def write_markdown(results: Results, readme: Path) -> None:
    """Replace the figures in the README, between its two markers."""
    lines: list[str] = []
    for title, header, rows in _tables(results):
        lines += [f"**{title}**", "", f"| {' | '.join(header)} |", f"| --- |{' ---: |' * (len(header) - 1)}"]
        lines += [f"| {' | '.join(row)} |" for row in rows]
        lines.append("")
    lines += [f"{line}\n" for line in _notes(results)]
    text = readme.read_text(encoding="utf-8")
    begin, end = (marker.format(results.plan.figures) for marker in (BEGIN, END))
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    figures = "\n".join(lines).strip()
    readme.write_text(f"{before}{begin}\n\n{figures}\n\n{end}{after}", encoding="utf-8")


def _tables(results: Results) -> list[tuple[str, list[str], list[list[str]]]]:
    """Return title, header and rows of each table that has rows."""
    return [table for table in _all_tables(results) if table[2]]


def _all_tables(results: Results) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    yield (
        "Learners per second: median ± half of the difference between the fastest and the slowest run",
        [
            "workload, learners",
            *(f"{one.letter} {one.name}" for one in results.variants),
            *map("/".join, results.ratios),
        ],
        [_row(results, workload, size) for workload in Workload for size in results.plan.sizes],
    )
    yield (
        "A job of one learner, from send_task to its stored result",
        ["", "jobs", "p50", "p99"],
        [
            [latency.where, f"{len(latency.seconds)}", f"{latency.p50 * 1000:.0f} ms", f"{latency.p99 * 1000:.0f} ms"]
            for latency in results.latencies
        ],
    )
    yield (
        "Callers: jobs of one learner sent at once, from the first send_task to the last stored result",
        ["", "jobs", "ms a job", "jobs a second"],
        [
            [
                f"programs: {burst.programs}",
                f"{burst.jobs:,}",
                f"{burst.milliseconds:.1f}",
                f"{burst.rate:.0f}",
            ]
            for burst in results.bursts
        ],
    )
    yield (
        f"A worker {DELAY * 1000:.0f} ms each way from its database",
        ["learners", "seconds", "learners a second"],
        [[f"{job.learners:,}", f"{job.seconds:.2f}", f"{job.rate:,.0f}"] for job in results.distant],
    )
    if results.streamed:
        names = sorted({name for job in results.streamed for name in job.processes})
        yield (
            "A job submitted as a stream",
            ["learners", "seconds", "µs a learner", *(f"{name}, MiB" for name in names), "Redis above idle, MiB"],
            [
                [
                    f"{job.learners:,}",
                    f"{job.seconds:.1f}",
                    f"{job.seconds / job.learners * 1e6:.0f}",
                    *(f"{job.processes.get(name, 0):.0f}" for name in names),
                    f"{job.redis:.0f}",
                ]
                for job in results.streamed
            ],
        )


def _row(results: Results, workload: Workload, size: int) -> list[str]:
    cells = [f"{workload}, {size:,}"]
    for variant in results.variants:
        figure = results.figure(workload, size, variant.letter)
        cells.append(f"{figure.rate:,.0f} ±{figure.spread:.0%}" if figure else "")
    for one, other in results.ratios:
        ratio = results.ratio(workload, size, one, other)
        cells.append("" if ratio is None else f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}")  # noqa: PLR2004 - digits
    return cells


def _notes(results: Results) -> Iterator[str]:
    measured = {variant.letter for variant in results.variants}
    parts = ", ".join(
        f"{letter} on the first {part:,}" for letter, part in results.plan.parts.items() if letter in measured
    )
    yield f"Measured on a part of the mapping, once for all sizes: {parts}."
    runs: dict[int, list[int]] = {}
    for figure in results.figures:
        runs.setdefault(figure.size, []).append(len(figure.seconds))
    counts = (
        f"{min(n)} to {max(n)} at {size:,}" if min(n) < max(n) else f"{max(n)} at {size:,}" for size, n in runs.items()
    )
    yield f"Runs of each figure: {'; '.join(counts)}."
    compared = ", ".join(f"{letter} {count}" for letter, count in sorted(results.compared.items()))
    yield f"After every run the rows were compared with those of the other variants: all equal ({compared} checksums)."
    if not results.streamed and results.latencies:
        yield "No job was submitted as a stream; `make bench FULL=1` includes that."
    machine = results.machine
    yield (
        f"On {machine['cores']} cores of {machine['cpu']} with {machine['memory_gib']} GiB, {machine['system']},"
        f" {machine['database']} and Redis {machine['redis']} on the same machine,"
        f" Python {machine['python']}, {machine['date']}, in {results.seconds / 60:.0f} minutes: `{results.plan.name}`."
    )
