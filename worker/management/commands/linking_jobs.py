"""``manage.py linking_jobs``: list, show, watch, pause, cancel, retry and undo jobs from the command line."""

import getpass
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from django.core.management.base import CommandError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from worker import dispatch, jobs
from worker.jobs.derived import retry_request
from worker.jobs.ids import find_job
from worker.jobs.pauses import describe_pause, sentence_of
from worker.jobs.reports import write_report
from worker.jobs.summary import summary
from worker.management.command import JobCommand
from worker.management.console import show_job, watch
from worker.models import LinkingJob, Pause
from worker.models.pauses import EVERYTHING
from worker.tasks import forget_learner

ACTIONS = {
    "show": "a job: its outcomes and first errors",
    "watch": "a job's progress, until it ends",
    "cancel": "stop a job; learners that are linked stay linked",
    "retry": "a new job of those learners of a job that failed",
    "undo": "restore what a job changed, unless it was changed again since",
    "report": "one CSV row per learner of a job",
}
"""Sub-commands on one job, each a method of the command, by their help texts."""
PAUSES = {
    "pause": "stop a job, a program or everything from the next slice on; requests are still accepted",
    "resume": "let what was paused go on",
}
"""Sub-commands on a job, a program or everything."""


class Command(JobCommand):
    """List, show and control linking jobs."""

    help = "List, show, watch, pause, cancel, retry and undo linking jobs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        listing = actions.add_parser("list", help="the newest jobs")
        listing.add_argument("--program", type=UUID, help="of this program only")
        listing.add_argument("--limit", type=int, default=20, help="how many (default 20)")
        parsers = {"list": listing}
        for name, text in ACTIONS.items():
            parsers[name] = actions.add_parser(name, help=text)
            parsers[name].add_argument("job_id", help="the id of a job, or its first 8 digits or more")
        for name, text in PAUSES.items():
            parsers[name] = actions.add_parser(name, help=text)
            one = parsers[name].add_mutually_exclusive_group(required=True)
            one.add_argument("job_id", nargs="?", help="the id of a job, or its first 8 digits or more")
            one.add_argument("--program", type=UUID, help="all jobs of this program, those submitted later, too")
            one.add_argument("--all", action="store_true", help="all jobs, those submitted later, too")
        parsers["pause"].add_argument("--reason", default="", help="shown on the pages beside who paused, and when")
        parsers["forget"] = actions.add_parser("forget", help="remove a person from the ledger, results and files")
        parsers["forget"].add_argument(
            "names", nargs="+", metavar="KEY|USERNAME", help="all external user keys and usernames of the person"
        )
        for action in parsers.values():
            action.add_argument("--json", action="store_true", help="for programs: JSON on standard output")
        parsers["report"].add_argument("out", type=Path, nargs="?", help="a file; standard output otherwise")
        parsers["undo"].add_argument(
            "--dry-run", action="store_true", help="find out what would happen, change nothing"
        )
        parsers["undo"].add_argument("--no-wait", action="store_true", help="leave it to the worker")

    def run(self, options: dict[str, Any]) -> None:
        if options["action"] == "list":
            self._list(options)
        elif options["action"] in PAUSES:
            self._pause_or_resume(options)
        elif options["action"] == "forget":
            self._forget(options)
        else:
            job = find_job(options["job_id"])
            getattr(self, f"_{options['action']}")(job, options)

    def _list(self, options: dict[str, Any]) -> None:
        found = LinkingJob.objects.order_by("-created")
        if options["program"]:
            found = found.filter(program_uuid=options["program"])
        newest = list(found[: options["limit"]])
        if options["json"]:
            held = jobs.pauses_by_job(newest)
            self._print_json([_describe(job, held.get(job.pk)) for job in newest])
            return
        for pause in Pause.objects.order_by("created"):
            self.console.print(escape(sentence_of(pause)))
        table = Table("job", "program", "state", "created")
        for name in ("learners", "done", "failed"):
            table.add_column(name, justify="right")
        progress_by_job = jobs.progress_by_job(newest)
        for job in newest:
            progress = progress_by_job[job.pk]
            numbers = (f"{number:,}" for number in (job.total, progress.done, progress.failed))
            table.add_row(str(job.pk), str(job.program_uuid), job.state, f"{job.created:%Y-%m-%d %H:%M:%S}", *numbers)
        self.console.print(table)

    def _show(self, job: LinkingJob, options: dict[str, Any]) -> None:
        if options["json"]:
            self._print_json(_describe(job, jobs.pauses_by_job([job]).get(job.pk)))
        else:
            show_job(job, self.console)

    def _watch(self, job: LinkingJob, options: dict[str, Any]) -> None:
        self._show(watch(job.pk, job.total, Console(stderr=True) if options["json"] else self.console), options)

    def _pause_or_resume(self, options: dict[str, Any]) -> None:
        kind, target, user = Pause.Kind.EVERYTHING, EVERYTHING, getpass.getuser()
        if options["program"]:
            kind, target = Pause.Kind.PROGRAM, options["program"]
        elif options["job_id"]:
            kind, target = Pause.Kind.JOB, find_job(options["job_id"]).pk
        if options["action"] == "pause":
            made = jobs.pause(kind, target, paused_by=user, reason=options["reason"])
            self._show_pause(made, options)
            return
        removed = jobs.resume(kind, target, resumed_by=user)
        dispatch.send_resumed(removed)
        if options["json"]:
            self._print_json({"resumed": removed.subject})
        else:
            self.console.print(f"{removed.subject} is resumed.".capitalize())

    def _show_pause(self, pause: Pause, options: dict[str, Any]) -> None:
        if options["json"]:
            self._print_json(describe_pause(pause))
        else:
            self.console.print(escape(sentence_of(pause)))

    def _cancel(self, job: LinkingJob, options: dict[str, Any]) -> None:
        cancelled = jobs.cancel(job.pk)
        dispatch.send_end(job)
        self._show(cancelled, options)

    def _retry(self, job: LinkingJob, options: dict[str, Any]) -> None:
        retrying = jobs.submit(uuid4(), retry_request(job.pk))
        dispatch.dispatch(retrying)
        self._show_new(retrying, f"retries {retrying.total:,} learners of job {job.pk}", options)

    def _undo(self, job: LinkingJob, options: dict[str, Any]) -> None:
        undoing = jobs.submit_undo(uuid4(), job.pk, dry_run=options["dry_run"])
        dispatch.dispatch(undoing)
        if options["no_wait"]:
            self._show_new(undoing, f"undoes job {job.pk} for {undoing.total:,} learners", options)
            return
        self._watch(undoing, options)
        undoing.refresh_from_db()
        self.exit_if_any_failed([undoing])

    def _forget(self, options: dict[str, Any]) -> None:
        try:
            done = forget_learner.run(*options["names"])
        except ValueError as error:
            raise CommandError(str(error)) from None
        if options["json"]:
            self._print_json(done)
            return
        for text, number in (("learners", done["learners"]), ("other texts", done["mentions"])):
            self.console.print(f"{number:,} {text} in the ledger")
        self.console.print(f"{done['results']:,} stored results, {len(done['files']):,} files")
        for name in done["unreadable"]:
            self.console.print(f"Not searched, since it is no text: {escape(name)}")

    def _show_new(self, job: LinkingJob, text: str, options: dict[str, Any]) -> None:
        if options["json"]:
            self._print_json({"id": job.pk, "total": job.total})
        else:
            self.console.print(f"Job {job.pk} {text}.")

    def _report(self, job: LinkingJob, options: dict[str, Any]) -> None:
        jobs.require_learners(job)
        if options["out"]:
            self.save_report(options["out"], partial(write_report, job.pk))
        else:
            write_report(job.pk, sys.stdout)

    def _print_json(self, data: Any) -> None:
        """Print data for programs: times in ISO 8601."""
        self.console.print_json(data=data, default=lambda it: it.isoformat() if isinstance(it, datetime) else str(it))


def _describe(job: LinkingJob, pause: Pause | None) -> dict[str, Any]:
    """Return a job as data; durations are in seconds."""
    names = ("program_uuid", "state", "options", "message", "waits_for", "created", "started", "finished", "purged")
    fields = {name: getattr(job, name) for name in names}
    paused = pause and describe_pause(pause)
    return {"id": job.pk, "undoes": job.undoes_id, **fields, "paused": paused, **asdict(summary(job))}
