"""Options, errors and exit statuses of the commands."""

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar, TextIO

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseFault
from kombu.exceptions import OperationalError as BrokerError
from rich.console import Console
from rich.markup import escape

from linking.bulk import FAILURES, is_lock_timeout
from worker.exceptions import LockedError, WorkerError
from worker.models import LinkingJob
from worker.relink_limit import parse_relink_limit

SOME_FAILED = 3
"""Exit status if all jobs are done and some learners were not linked; 1: something was not run."""


class JobCommand(BaseCommand):
    """A command that runs jobs or shows them."""

    broker_hint: ClassVar[str] = ""  # What the user can do if the broker does not answer.

    def handle(self, *_: Any, **options: Any) -> None:
        """Call :meth:`run`; raise expected errors as a CommandError, which is printed without a traceback."""
        self.stdout.ending = ""
        width = None if self.stdout.isatty() else 160  # Columns; a file is as wide as its lines.
        self.console = Console(
            file=self.stdout,  # type: ignore[arg-type] # it writes like a file
            width=width,
            no_color=options["no_color"],
            highlight=False,
            soft_wrap=True,
        )
        try:
            self.run(options)
        except WorkerError as error:
            raise CommandError(str(error)) from None
        except DatabaseFault as error:
            if not is_lock_timeout(error):
                raise
            raise CommandError(str(LockedError())) from None
        except BrokerError as error:
            msg = f"the broker (CELERY_BROKER_URL) does not answer: {error}. {self.broker_hint}".strip()
            raise CommandError(msg) from None

    def run(self, options: dict[str, Any]) -> None:
        """Do the work of the command."""
        raise NotImplementedError

    def add_link_options(self, parser: ArgumentParser) -> None:
        """Declare the options of the commands that link."""
        parser.formatter_class = RawDescriptionHelpFormatter  # It keeps the line breaks of the help text.
        parser.add_argument("--dry-run", action="store_true", help="find out what would happen, change nothing")
        parser.add_argument(
            "--max-relinks",
            metavar="N|N%",
            help="refuse a job if more enrollments would change hands (of files: LINKING_IMPORT_MAX_RELINKS)",
        )
        parser.add_argument("--no-wait", action="store_true", help="print the ids of the jobs and do not wait for them")
        parser.add_argument("--report", type=Path, metavar="OUT.CSV", help="write one row per learner")

    def check_link_options(self, options: dict[str, Any]) -> None:
        """Refuse options that exclude each other or cannot be used; parse ``max_relinks``."""
        needs_end = [name for name in ("now", "report") if name in options]  # Not every command has --now.
        if options["no_wait"] and any(options[name] for name in needs_end):
            excluded = " or ".join(f"--{name}" for name in needs_end)
            msg = f"--no-wait leaves the jobs to the worker: it cannot be combined with {excluded}."
            raise CommandError(msg)
        if options["report"] and not options["report"].parent.is_dir():
            msg = f"--report {options['report']}: there is no folder {options['report'].parent}."
            raise CommandError(msg)
        try:
            options["max_relinks"] = parse_relink_limit(options["max_relinks"])
        except ValueError as error:
            raise CommandError(str(error)) from None

    def save_report(self, path: Path, write: Callable[[TextIO], None]) -> None:
        """Write a report to a file."""
        with path.open("w", encoding="utf-8", newline="") as file:
            write(file)
        self.console.print(f"Report: {escape(str(path))}")

    def exit_if_any_failed(self, jobs: Iterable[LinkingJob]) -> None:
        """Exit with :data:`SOME_FAILED` if a learner of a job was not linked."""
        if any(job.counts.get(outcome) for job in jobs for outcome in FAILURES):
            sys.exit(SOME_FAILED)
