"""What chaos prints: a line per round, then the table of the faults."""

from collections import Counter
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from chaos.checks import Report
from chaos.rounds import Setting

LOGS = Path("var") / "chaos"
"""Where the logs of a bad round are kept."""


class Tally:
    """Takes down the rounds."""

    def __init__(self, console: Console, setting: Setting) -> None:
        self._console = console
        self._setting = setting
        self._reports: list[Report] = []

    def add(self, report: Report) -> None:
        """Take down a round and print its line."""
        self._reports.append(report)
        good = not report.violations
        self._console.print(
            f"{'[green]✓[/green]' if good else '[red]✗[/red]'} seed {report.seed}: {report.strikes.total()} faults,"
            f" answer after {report.took:.1f} s, {report.last:.1f} s after the last fault;"
            f" {len(report.lost)} lost, {len(report.doubled)} doubled, {len(report.hanging)} hanging"
            + ("" if report.answers == 1 else f"; callback called {report.answers} times")
        )
        for violation in report.violations:
            self._console.print(f"  [red]{escape(violation)}[/red]")
        if report.logs:
            LOGS.mkdir(parents=True, exist_ok=True)
            log = LOGS / f"seed-{report.seed}.log"
            log.write_text(report.logs)
            self._console.print(f"  The logs of workers and beat: {log}", markup=False)

    def close(self) -> int:
        """Print the table; return the exit status."""
        strikes: Counter[str] = Counter()
        for report in self._reports:
            strikes.update(report.strikes)
        table = Table("fault")
        for name in ("times", "progress again after: median", "worst"):
            table.add_column(name, justify="right")
        for name, count in strikes.most_common():
            times = [seconds for report in self._reports for seconds in report.recoveries.get(name, ())]
            table.add_row(
                name, f"{count:,}", *((f"{median(times):.1f} s", f"{max(times):.1f} s") if times else ("-", "-"))
            )
        self._console.print(table)
        lasts = [report.last for report in self._reports]
        bad = [report.seed for report in self._reports if report.violations]
        self._console.print(
            f"{len(self._reports)} rounds, {strikes.total():,} faults:"
            f" {sum(len(r.lost) for r in self._reports)} lost,"
            f" {sum(len(r.doubled) for r in self._reports)} doubled,"
            f" {sum(len(r.hanging) for r in self._reports)} hanging,"
            f" {sum(len(r.other) for r in self._reports)} other;"
            f" callbacks called more than once: {sum(r.answers > 1 for r in self._reports)}"
        )
        self._console.print(
            f"From the last fault to the answer: median {median(lasts):.1f} s, worst {max(lasts):.1f} s"
            f" (goal: under twice LINKING_STALL_AFTER, {2 * self._setting.stall_after:g} s)"
        )
        for seed in bad:
            self._console.print(f"[red]To repeat: make chaos SEED={seed}[/red]")
        return 1 if bad else 0
