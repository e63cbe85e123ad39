"""What the commands show of jobs in a terminal."""

import time
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError, OutputWrapper
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from linking.bulk import FAILURES, SUCCESSES, Outcome
from worker import jobs
from worker.jobs.summary import Difference, summary
from worker.models import LinkingJob

POLL_SECONDS = 0.2
ERRORS_SHOWN = 10


def console_for(stdout: OutputWrapper, *, no_color: bool = False) -> Console:
    """Return a console that writes where a command is told to write."""
    stdout.ending = ""
    width = None if stdout.isatty() else 160  # Columns; a file is as wide as its lines.
    return Console(file=stdout, width=width, no_color=no_color, highlight=False, soft_wrap=True)  # type: ignore[arg-type] # it writes like a file


def progress_bar(console: Console) -> Progress:
    """Return the bar by which a command shows how far a job is."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )


def watch(job_id: UUID, total: int, console: Console) -> None:
    """Show a job's progress until it is in a final state.

    Raises:
        CommandError: the task ended before it became a job.
    """
    with progress_bar(console) as bar:
        task = bar.add_task("waiting for a worker", total=total)
        while True:
            progress = jobs.progress(job_id)
            if progress is not None:
                bar.update(task, description=progress.state, completed=progress.done)
                if progress.is_final:
                    return
            elif fault := _fault_of(job_id):
                raise CommandError(fault)
            time.sleep(POLL_SECONDS)


def _fault_of(job_id: UUID) -> str | None:
    from celery import states  # noqa: PLC0415 - only who waits for a worker needs the app

    from worker.celery import app  # noqa: PLC0415

    result = app.AsyncResult(str(job_id))
    return str(result.result) if result.state in states.PROPAGATE_STATES else None


def show_job(job: LinkingJob, console: Console) -> None:
    """Print a job's outcomes in numbers, and its first failures."""
    told = summary(job)
    counts, difference = told.counts, told.difference
    took = f" in {told.duration:.1f} s" if told.duration is not None else ""
    speed = f", {told.learners_per_second:,.0f} learners/s" if told.learners_per_second else ""
    would = " (dry run: nothing was changed)" if job.dry_run else ""
    undoes = f" (undoes job {job.undoes_id})" if job.undoes_id else ""
    table = Table("outcome", title=f"Job {job.pk}: {job.state}{took}{speed}{would}{undoes}", title_justify="left")
    table.add_column("learners", justify="right")
    if difference:
        table.add_column("before", justify="right")
    for outcome in Outcome:
        count = job.total - sum(counts.values()) if outcome == Outcome.PENDING else counts.get(outcome, 0)
        change = difference.counts.get(outcome, 0) if difference else 0
        if count or change:
            style = "red" if outcome in FAILURES else "green" if outcome in SUCCESSES else "yellow"
            before = [f"{count - change:,}"] if difference else []
            table.add_row(outcome.value, f"{count:,}", *before, style=style)
    table.add_section()
    before = [f"{job.total - difference.total:,}"] if difference else []
    table.add_row("total", f"{job.total:,}", *before, style="bold")
    console.print(table)
    if difference:
        longer = (
            f", {abs(difference.duration):.1f} s {'less' if difference.duration < 0 else 'more'} than it"
            if difference.duration is not None
            else ""
        )
        console.print(f"before: job {difference.job_id}, ended {difference.finished:%Y-%m-%d %H:%M}{longer}")
    if job.message:
        console.print(escape(job.message))
    if job.purged:
        console.print(jobs.GONE_TEMPLATE.format(job_id=job.pk, day=f"{job.purged:%Y-%m-%d}"))
        return
    failed = job.learners.filter(outcome__in=FAILURES).order_by("position")
    for key, message in failed.values_list("external_user_key", "message")[:ERRORS_SHOWN]:
        console.print(f"  {escape(key)}: {escape(message)}")
    more = sum(counts.get(outcome, 0) for outcome in FAILURES) - ERRORS_SHOWN
    if more > 0:
        console.print(f"  … and {more:,} more: manage.py linking_jobs report {job.pk}")


def describe(job: LinkingJob) -> dict[str, Any]:
    """Return a job as plain JSON, for programs: times in ISO 8601, durations in seconds."""
    told = summary(job)
    times = {name: getattr(job, name) for name in ("created", "started", "finished", "purged")}
    return {
        "id": str(job.pk),
        "program_uuid": str(job.program_uuid),
        "state": job.state,
        "options": job.options,
        "total": job.total,
        "counts": told.counts,
        "duration": told.duration,
        "learners_per_second": told.learners_per_second,
        "difference": _plain(told.difference),
        "message": job.message,
        "undoes": str(job.undoes_id) if job.undoes_id else None,
        "waits_for": job.waits_for,
        **{name: value.isoformat() if value else None for name, value in times.items()},
    }


def _plain(difference: Difference | None) -> dict[str, Any] | None:
    if difference is None:
        return None
    return {**asdict(difference), "job_id": str(difference.job_id), "finished": difference.finished.isoformat()}
