"""The output of chaos: a line per round, then a table of the faults."""

from collections import Counter
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from chaos.checks import Report
from chaos.settings import Settings

LOGS = Path("var") / "chaos"
"""Folder for the logs of rounds with violations."""


class Summary:
    """Collects the reports of all rounds and prints them."""

    def __init__(self, console: Console, settings: Settings, options: str) -> None:
        """``options`` are those of ``make chaos``."""
        self._console = console
        self._options = options
        self._settings = settings
        self._reports: list[Report] = []

    def add(self, report: Report) -> None:
        """Add a round and print its line."""
        self._reports.append(report)
        self._console.print(
            f"{'[red]✗[/red]' if report.violations else '[green]✓[/green]'} seed {report.seed}:"
            f" {report.faults.total()} faults, result after {report.duration:.1f} s,"
            f" {report.after_last_fault:.1f} s after the last fault;"
            f" {report.small_jobs:,} small jobs;"
            f" {len(report.lost)} lost, {len(report.doubled)} doubled, {len(report.hanging)} hanging"
            + ("" if report.results == 1 else f"; callback called {report.results} times")
        )
        for violation in report.violations:
            self._console.print(f"  [red]{escape(violation)}[/red]")
        if report.logs:
            LOGS.mkdir(parents=True, exist_ok=True)
            log = LOGS / f"seed-{report.seed}.log"
            log.write_text(report.logs)
            self._console.print(f"  The logs of workers and beat: {log}", markup=False)

    def close(self) -> int:
        """Print the table and the totals; return the exit status."""
        faults = sum((report.faults for report in self._reports), Counter[str]())
        table = Table("fault")
        for name in ("times", "time to progress: median", "maximum"):
            table.add_column(name, justify="right")
        for name, count in faults.most_common():
            times = [seconds for report in self._reports for seconds in report.recoveries.get(name, ())]
            table.add_row(
                name, f"{count:,}", *((f"{median(times):.1f} s", f"{max(times):.1f} s") if times else ("-", "-"))
            )
        self._console.print(table)
        totals = ", ".join(
            f"{sum(len(getattr(report, kind)) for report in self._reports)} {kind}"
            for kind in ("lost", "doubled", "hanging", "other")
        )
        self._console.print(
            f"{len(self._reports)} rounds, {faults.total():,} faults: {totals};"
            f" callbacks called more than once: {sum(report.results > 1 for report in self._reports)}"
        )
        for name, count in sorted(sum((report.beside for report in self._reports), Counter[str]()).items()):
            self._console.print(f"{count:,} times: {name}")
        times = [report.duration for report in self._reports]
        self._console.print(f"From the request to the result: median {median(times):.1f} s, maximum {max(times):.1f} s")
        times = [report.after_last_fault for report in self._reports]
        self._console.print(
            f"From the last fault to the result: median {median(times):.1f} s, maximum {max(times):.1f} s"
            f" (goal without small jobs: under twice LINKING_STALL_AFTER, {2 * self._settings.stall_after:g} s)"
        )
        failed = [report.seed for report in self._reports if report.violations]
        for seed in failed:
            self._console.print(f"[red]To repeat: make chaos {self._options} SEED={seed}[/red]")
        return 1 if failed else 0
