"""Jobs in a terminal."""

import time
from uuid import UUID

from celery import states
from django.core.management.base import CommandError
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from linking.bulk import FAILURES, SUCCESSES, Outcome
from worker import jobs
from worker.celery import app
from worker.jobs.pauses import sentence_of
from worker.jobs.summary import Summary, summary
from worker.models import LinkingJob

POLL_SECONDS = 0.2
ERRORS_SHOWN = 10


def progress_bar(console: Console) -> Progress:
    """Return a bar that shows the progress of a job."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)


def watch(job_id: UUID, total: int, console: Console) -> LinkingJob:
    """Show a job's progress until it is in a final state; return the job, which need not be in the ledger yet.

    Raises:
        CommandError: the request failed before it became a job.
    """
    result = app.AsyncResult(str(job_id))
    with progress_bar(console) as bar:
        task = bar.add_task("waiting for a worker", total=total)
        while True:
            job = LinkingJob.objects.filter(pk=job_id).first()
            if job is not None:
                state = "paused" if jobs.pauses_by_job([job]) else job.state
                bar.update(task, description=state, completed=jobs.progress_of(job).done)
                if job.is_final:
                    return job
            elif result.state in states.PROPAGATE_STATES:
                raise CommandError(str(result.result))
            time.sleep(POLL_SECONDS)


def show_job(job: LinkingJob, console: Console) -> None:
    """Print a job's learners by outcome, and its first failures."""
    numbers = summary(job)
    took = f" in {numbers.duration:.1f} s" if numbers.duration is not None else ""
    speed = f", {numbers.learners_per_second:,.0f} learners/s" if numbers.learners_per_second else ""
    dry_run = " (dry run: nothing was changed)" if job.dry_run else ""
    undoes = f" (undoes job {job.undoes_id})" if job.undoes_id else ""
    console.print(_outcome_table(job, numbers, f"Job {job.pk}: {job.state}{took}{speed}{dry_run}{undoes}"))
    if difference := numbers.difference:
        longer = ""
        if difference.duration is not None:
            longer = f", {abs(difference.duration):.1f} s {'less' if difference.duration < 0 else 'more'} than it"
        console.print(f"before: job {difference.job_id}, ended {difference.finished:%Y-%m-%d %H:%M}{longer}")
    if "skipped" in job.options:
        console.print(f"{job.options['skipped']:,} rows of the file are as in the file before and were skipped.")
    for pause in jobs.pauses_by_job([job]).values():
        console.print(escape(sentence_of(pause)))
    if job.message:
        console.print(escape(job.message))
    if job.purged:
        console.print(jobs.purged_message(job))
        return
    failed = job.learners.filter(outcome__in=FAILURES).order_by("position")
    for key, message in failed.values_list("external_user_key", "message")[:ERRORS_SHOWN]:
        console.print(f"  {escape(key)}: {escape(message)}")
    more = sum(numbers.counts.get(outcome, 0) for outcome in FAILURES) - ERRORS_SHOWN
    if more > 0:
        console.print(f"  … and {more:,} more: manage.py linking_jobs report {job.pk}")


def _outcome_table(job: LinkingJob, numbers: Summary, title: str) -> Table:
    table = Table("outcome", title=title, title_justify="left")
    for name in ("learners", "before") if numbers.difference else ("learners",):
        table.add_column(name, justify="right")

    def add_row(name: str, count: int, change: int, style: str) -> None:
        table.add_row(*(name, f"{count:,}", f"{count - change:,}")[: len(table.columns)], style=style)

    changes = numbers.difference.counts if numbers.difference else {}
    counts = {**numbers.counts, Outcome.PENDING: job.total - sum(numbers.counts.values())}
    for outcome in Outcome:
        count, change = counts.get(outcome, 0), changes.get(outcome, 0)
        if count or change:
            style = "red" if outcome in FAILURES else "green" if outcome in SUCCESSES else "yellow"
            add_row(outcome.value, count, change, style)
    table.add_section()
    add_row("total", job.total, numbers.difference.total if numbers.difference else 0, "bold")
    return table
