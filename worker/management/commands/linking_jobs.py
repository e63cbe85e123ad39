"""``manage.py linking_jobs``: see, watch, cancel, repeat and undo jobs from the command line."""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from django.core.management.base import BaseCommand, CommandError
from kombu.exceptions import OperationalError as BrokerError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from linking.bulk import FAILURES
from worker import jobs
from worker.exceptions import JobError
from worker.jobs.derived import retry_request
from worker.jobs.reports import write_report
from worker.management.commands.link_program_enrollments import SOME_FAILED
from worker.management.console import console_for, describe, show_job, watch
from worker.models import LinkingJob
from worker.tasks import answer, send_job


class Command(BaseCommand):
    """See and steer linking jobs."""

    help = "See, watch, cancel, repeat and undo linking jobs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the sub-commands."""
        actions = parser.add_subparsers(dest="action", required=True)
        listing = actions.add_parser("list", help="the newest jobs")
        _add_json(listing)
        listing.add_argument("--program", type=UUID, help="of this program only")
        listing.add_argument("--limit", type=int, default=20, help="how many (default 20)")
        for name, text in (
            ("show", "a job: its outcomes and first errors"),
            ("watch", "a job's progress, until it ends"),
            ("cancel", "stop a job; what is linked stays"),
            ("retry", "a new job of those learners of a job that failed"),
            ("undo", "give back what a job changed, where nothing has changed it since"),
            ("report", "one CSV row per learner of a job"),
        ):
            action = actions.add_parser(name, help=text)
            action.add_argument("job_id", type=UUID)
            _add_json(action)
            if name == "report":
                action.add_argument("out", type=Path, nargs="?", help="a file; standard output otherwise")
            if name == "undo":
                action.add_argument("--dry-run", action="store_true", help="find out what would happen, change nothing")
                action.add_argument("--no-wait", action="store_true", help="leave it to the worker")

    def handle(self, *_: Any, **options: Any) -> None:
        """Do what the sub-command says."""
        console = console_for(self.stdout, no_color=options["no_color"])
        try:
            if options["action"] == "list":
                _list(options, console)
                return
            job = LinkingJob.objects.filter(pk=options["job_id"]).first()
            if job is None:
                msg = f"there is no job {options['job_id']}: linking_jobs list shows those that there are."
                raise CommandError(msg)
            actions = {"show": _show, "watch": _watch, "cancel": _cancel, "retry": _retry, "undo": _undo}
            (actions | {"report": _report})[options["action"]](job, options, console)
        except JobError as error:
            raise CommandError(str(error)) from None
        except BrokerError as error:
            msg = f"the broker (CELERY_BROKER_URL) does not answer: {error}."
            raise CommandError(msg) from None


def _add_json(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for programs: JSON on standard output")


def _list(options: dict[str, Any], console: Console) -> None:
    found = LinkingJob.objects.order_by("-created")
    if options["program"]:
        found = found.filter(program_uuid=options["program"])
    newest = list(found[: options["limit"]])
    if options["json"]:
        console.print_json(json.dumps([describe(job) for job in newest]))
        return
    table = Table("job", "program", "state", "created")
    for name in ("learners", "done", "failed"):
        table.add_column(name, justify="right")
    for job in newest:
        progress = jobs.progress(job.pk)
        done, failed = (progress.done, progress.failed) if progress else (0, 0)
        created = f"{job.created:%Y-%m-%d %H:%M:%S}"
        table.add_row(
            str(job.pk), str(job.program_uuid), job.state, created, f"{job.total:,}", f"{done:,}", f"{failed:,}"
        )
    console.print(table)


def _show(job: LinkingJob, options: dict[str, Any], console: Console) -> None:
    if options["json"]:
        console.print_json(json.dumps(describe(job)))
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
    again = jobs.submit(uuid4(), retry_request(job.pk))
    send_job(again)
    if options["json"]:
        console.print_json(json.dumps({"id": str(again.pk), "total": again.total}))
    else:
        console.print(f"{again.pk}: {again.total:,} learners of job {job.pk} are tried again.")


def _undo(job: LinkingJob, options: dict[str, Any], console: Console) -> None:
    undoing = jobs.submit_undo(uuid4(), job.pk, dry_run=options["dry_run"])
    send_job(undoing)
    if not options["no_wait"]:
        _watch(undoing, options, console)
        undoing.refresh_from_db()
        if any(undoing.counts.get(outcome) for outcome in FAILURES):
            sys.exit(SOME_FAILED)
    elif options["json"]:
        console.print_json(json.dumps({"id": str(undoing.pk), "total": undoing.total}))
    else:
        console.print(f"{undoing.pk}: {undoing.total:,} learners of job {job.pk} are given back what they had.")


def _report(job: LinkingJob, options: dict[str, Any], console: Console) -> None:
    jobs.refuse_purged(job)
    if options["out"] is None:
        write_report(job.pk, sys.stdout)
        return
    with options["out"].open("w", encoding="utf-8", newline="") as file:
        write_report(job.pk, file)
    console.print(f"Report: {escape(str(options['out']))}")
