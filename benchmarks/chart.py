"""The chart of learners per second: an SVG of all workloads at the largest size, on a logarithmic scale."""

import math
from html import escape
from pathlib import Path

from benchmarks.results import Results
from benchmarks.workloads import Workload

COLOURS = {"A": "#9aa0a6", "B": "#c58b6a", "C": "#6aa5c5", "D": "#1a6fb5", "E": "#555b61"}
WIDTH, LEFT, RIGHT, TOP = 760, 150, 90, 64
BAR, GAP, GROUP_GAP = 18, 4, 22
DECADES = (10, 100, 1_000, 10_000, 100_000)
"""Ticks of the scale, which begins at the first."""


def write_chart(results: Results, path: Path) -> None:
    """Write the chart to ``path``."""
    size = results.plan.largest
    figures = [
        (workload, variant, figure)
        for workload in Workload
        for variant in results.variants
        if (figure := results.figure(workload, size, variant.letter)) is not None
    ]
    fastest = max(figure.rate for *_, figure in figures)
    end = next((tick for tick in DECADES if tick >= fastest), DECADES[-1])
    bars: list[str] = []
    y, previous = TOP, None
    for workload, variant, figure in figures:
        if workload != previous:
            y += GROUP_GAP if previous else 0
            bars.append(f'<text x="16" y="{y + 13}" font-weight="600">{workload}</text>')
            previous = workload
        x = _x(figure.rate, end)
        label = f"{figure.rate:,.0f}"
        bars += [
            f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{variant.letter} {escape(variant.name)}</text>',
            f'<rect x="{LEFT}" y="{y}" width="{x - LEFT:.1f}" height="{BAR}" fill="{COLOURS[variant.letter]}"/>',
            f'<text x="{x + 6:.1f}" y="{y + 13}">{label}</text>',
        ]
        y += BAR + GAP
    ticks = [
        f'<line x1="{_x(tick, end):.1f}" x2="{_x(tick, end):.1f}" y1="{TOP - 8}" y2="{y}" stroke="#8884"/>'
        f'<text x="{_x(tick, end):.1f}" y="{y + 16}" text-anchor="middle" fill="#777">{tick:,}</text>'
        for tick in DECADES
        if tick <= end
    ]
    machine = results.machine
    head = (
        f'<text x="16" y="24" font-size="16" font-weight="600">Learners per second, jobs of {size:,}</text>'
        f'<text x="16" y="44" fill="#777">{machine["cores"]} cores, {escape(str(machine["database"]))},'
        f" {str(machine['date'])[:10]}; logarithmic scale</text>"
    )
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 30}" viewBox="0 0 {WIDTH} {y + 30}"'
        ' font-family="system-ui, sans-serif" font-size="13" fill="#333">\n'
        f'<rect width="{WIDTH}" height="{y + 30}" fill="#fff"/>\n' + "\n".join([head, *ticks, *bars]) + "\n</svg>\n",
        encoding="utf-8",
    )


def _x(rate: float, end: int) -> float:
    share = math.log10(max(rate, DECADES[0]) / DECADES[0]) / math.log10(end / DECADES[0])
    return LEFT + share * (WIDTH - LEFT - RIGHT)
