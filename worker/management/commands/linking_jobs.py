"""``manage.py linking_jobs``: list, show, watch, cancel, retry and undo jobs from the command line."""

import sys
from argparse import ArgumentParser
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from django.core.management.base import BaseCommand
from rich.console import Console
from rich.table import Table

from worker import jobs
from worker.jobs.derived import retry_request
from worker.jobs.reports import write_report
from worker.management.console import console_for, describe, print_json, show_job, watch
from worker.management.options import command_errors, exit_if_any_failed, save_report
from worker.models import LinkingJob
from worker.tasks import answer, send_job


class Command(BaseCommand):
    """List, show and control linking jobs."""

    help = "List, show, watch, cancel, retry and undo linking jobs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the sub-commands."""
        actions = parser.add_subparsers(dest="action", required=True)
        listing = actions.add_parser("list", help="the newest jobs")
        listing.add_argument("--program", type=UUID, help="of this program only")
        listing.add_argument("--limit", type=int, default=20, help="how many (default 20)")
        parsers = {"list": listing}
        for name, (_, text) in ACTIONS.items():
            parsers[name] = actions.add_parser(name, help=text)
            parsers[name].add_argument("job_id", type=UUID)
        for action in parsers.values():
            action.add_argument("--json", action="store_true", help="for programs: JSON on standard output")
        parsers["report"].add_argument("out", type=Path, nargs="?", help="a file; standard output otherwise")
        parsers["undo"].add_argument(
            "--dry-run", action="store_true", help="find out what would happen, change nothing"
        )
        parsers["undo"].add_argument("--no-wait", action="store_true", help="leave it to the worker")

    def handle(self, *_: Any, **options: Any) -> None:
        """Run the sub-command."""
        console = console_for(self.stdout, no_color=options["no_color"])
        with command_errors():
            if options["action"] == "list":
                _list(options, console)
            else:
                ACTIONS[options["action"]][0](LinkingJob.objects.find(options["job_id"]), options, console)


def _list(options: dict[str, Any], console: Console) -> None:
    found = LinkingJob.objects.order_by("-created")
    if options["program"]:
        found = found.filter(program_uuid=options["program"])
    newest = list(found[: options["limit"]])
    if options["json"]:
        print_json([describe(job) for job in newest], console)
        return
    table = Table("job", "program", "state", "created")
    for column in ("learners", "done", "failed"):
        table.add_column(column, justify="right")
    progress_by_job = jobs.progress_of(newest)
    for job in newest:
        progress = progress_by_job[job.pk]
        numbers = (f"{number:,}" for number in (job.total, progress.done, progress.failed))
        table.add_row(str(job.pk), str(job.program_uuid), job.state, f"{job.created:%Y-%m-%d %H:%M:%S}", *numbers)
    console.print(table)


def _show(job: LinkingJob, options: dict[str, Any], console: Console) -> None:
    if options["json"]:
        print_json(describe(job), console)
    else:
        show_job(job, console)


def _watch(job: LinkingJob, options: dict[str, Any], console: Console) -> None:
    watch(job.pk, job.total, Console(stderr=True) if options["json"] else console)
    job.refresh_from_db()
    _show(job, options, console)


def _cancel(job: LinkingJob, options: dict[str, Any], console: Console) -> None:
    job = jobs.cancel(job.pk)
    answer(job.pk)
    _show(job, options, console)


def _retry(job: LinkingJob, options: dict[str, Any], console: Console) -> None:
    retrying = jobs.submit(uuid4(), retry_request(job.pk))
    send_job(retrying)
    _show_new(retrying, f"retries {retrying.total:,} learners of job {job.pk}", options, console)


def _undo(job: LinkingJob, options: dict[str, Any], console: Console) -> None:
    undoing = jobs.submit_undo(uuid4(), job.pk, dry_run=options["dry_run"])
    send_job(undoing)
    if options["no_wait"]:
        _show_new(undoing, f"undoes job {job.pk} for {undoing.total:,} learners", options, console)
        return
    _watch(undoing, options, console)
    exit_if_any_failed([undoing])


def _show_new(job: LinkingJob, text: str, options: dict[str, Any], console: Console) -> None:
    if options["json"]:
        print_json({"id": job.pk, "total": job.total}, console)
    else:
        console.print(f"Job {job.pk} {text}.")


def _report(job: LinkingJob, options: dict[str, Any], console: Console) -> None:
    jobs.refuse_purged(job)
    if options["out"]:
        save_report(options["out"], console, partial(write_report, job.pk))
    else:
        write_report(job.pk, sys.stdout)


ACTIONS = {
    "show": (_show, "a job: its outcomes and first errors"),
    "watch": (_watch, "a job's progress, until it ends"),
    "cancel": (_cancel, "stop a job; what is linked stays"),
    "retry": (_retry, "a new job of those learners of a job that failed"),
    "undo": (_undo, "restore what a job changed, unless it was changed again since"),
    "report": (_report, "one CSV row per learner of a job"),
}
