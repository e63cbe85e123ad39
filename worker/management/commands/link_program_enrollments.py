"""``manage.py link_program_enrollments``: link a mapping from the command line, and watch."""

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from django.core.management.base import BaseCommand, CommandError
from kombu.exceptions import OperationalError as BrokerError
from rich.console import Console
from rich.markup import escape

from linking.bulk import FAILURES
from worker import jobs
from worker.exceptions import JobError
from worker.imports.rows import read_mapping
from worker.jobs.reports import write_report
from worker.jobs.request import LinkRequest, parse_link_request
from worker.jobs.slices import run_slice
from worker.management.console import console_for, progress_bar, show_job, watch
from worker.models import LinkingJob
from worker.tasks import send_order

SOME_FAILED = 3
"""Exit status of a job that is done and whose report shows failures; 1 is for what could not be run."""


class Command(BaseCommand):
    """Link program enrollments to LMS users."""

    help = """Link the program enrollments of learners to their LMS users.

  manage.py link_program_enrollments PROGRAM_UUID KEY:USERNAME KEY:USERNAME …
  manage.py link_program_enrollments PROGRAM_UUID --file mapping.csv

Exit status: 0 all linked (or linked already), 3 done with failures, 1 not run."""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        """Keep the line breaks of the help text."""
        return super().create_parser(prog_name, subcommand, formatter_class=RawDescriptionHelpFormatter, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("program_uuid", help="the program")
        parser.add_argument("pairs", nargs="*", metavar="KEY:USERNAME", help="external user key and LMS username")
        parser.add_argument("--file", type=Path, help="CSV with the columns external_user_key,lms_username")
        parser.add_argument("--dry-run", action="store_true", help="find out what would happen, change nothing")
        parser.add_argument("--max-relinks", metavar="N|N%", help="refuse if more enrollments would change hands")
        parser.add_argument("--now", action="store_true", help="run in this process, without broker or worker")
        parser.add_argument("--no-wait", action="store_true", help="print the job's id and leave it to the worker")
        parser.add_argument("--report", type=Path, metavar="OUT.CSV", help="write one row per learner")

    def handle(self, *_: Any, **options: Any) -> None:
        """Read the mapping, have it linked, show what became of it."""
        console = console_for(self.stdout, no_color=options["no_color"])
        if options["no_wait"] and (options["now"] or options["report"]):
            msg = "--no-wait leaves the job to the worker: it goes with neither --now nor --report."
            raise CommandError(msg)
        if options["report"] and not options["report"].parent.is_dir():
            msg = f"--report {options['report']}: there is no folder {options['report'].parent}."
            raise CommandError(msg)
        order = _order(options)
        job_id = uuid4()
        if options["now"]:
            _run_here(job_id, order, console)
        else:
            _send(job_id, order)
            if options["no_wait"]:
                console.print(f"{job_id}")
                return
            watch(job_id, order.total, console)
        job = LinkingJob.objects.get(pk=job_id)
        show_job(job, console)
        if options["report"]:
            with options["report"].open("w", encoding="utf-8", newline="") as file:
                write_report(job_id, file)
            console.print(f"Report: {escape(str(options['report']))}")
        if job.state != LinkingJob.State.DONE:
            raise CommandError(job.message or f"job {job_id} is {job.state}.")
        if any(job.counts.get(outcome) for outcome in FAILURES):
            sys.exit(SOME_FAILED)


def _order(options: dict[str, Any]) -> LinkRequest:
    """Return what the arguments ask for."""
    try:
        if options["file"] and options["pairs"]:
            msg = "give either KEY:USERNAME arguments or --file, not both."
            raise CommandError(msg)
        if not options["file"] and not options["pairs"]:
            msg = "nothing to link: give KEY:USERNAME arguments or --file."
            raise CommandError(msg)
        program = parse_link_request((options["program_uuid"], {}), {}).program_uuid
        mapping = read_mapping(options["file"], program) if options["file"] else _parse_pairs(options["pairs"])
        relinks = options["max_relinks"]
        kwargs = {
            "dry_run": options["dry_run"],
            "max_relinks": int(relinks) if relinks and relinks.isdecimal() else relinks,
        }
        return parse_link_request((str(program), mapping), kwargs)
    except ValueError as error:
        raise CommandError(str(error)) from None


def _parse_pairs(pairs: list[str]) -> dict[str, str]:
    mapping: dict[str, str] = {}
    for item in pairs:
        key, colon, username = item.partition(":")
        if not (colon and key and username) or ":" in username:
            msg = f"incorrectly formatted argument '{item}', must be in form <external user key>:<lms username>"
            raise CommandError(msg)
        if key in mapping:
            msg = f"external user key {key} provided multiple times"
            raise CommandError(msg)
        mapping[key] = username
    return mapping


def _run_here(job_id: UUID, order: LinkRequest, console: Console) -> None:
    try:
        job = jobs.submit(job_id, order)
        jobs.start(job, relies_on_chord=False)
    except JobError as error:
        raise CommandError(str(error)) from None
    with progress_bar(console) as bar:
        task = bar.add_task("linking", total=job.total)
        for number in jobs.open_slices(job):
            while not (run := run_slice(job_id, number)).finished:
                pass
            bar.advance(task, sum(run.counts.values()))
    jobs.finish(job_id, notify=lambda _job, _errors: None)


def _send(job_id: UUID, order: LinkRequest) -> None:
    try:
        send_order(job_id, order)
    except BrokerError as error:
        msg = f"the broker (CELERY_BROKER_URL) does not answer: {error}. Start it, or use --now."
        raise CommandError(msg) from None
