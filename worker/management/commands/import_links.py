"""``manage.py import_links``: import files now, from the inbox or from anywhere."""

import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from kombu.exceptions import OperationalError as BrokerError
from rich.console import Console
from rich.markup import escape

from linking.bulk import FAILURES
from worker.exceptions import InboxError
from worker.imports import inbox
from worker.imports.import_file import ImportFileError, UnsettledFileError
from worker.imports.inbox import ImportOptions
from worker.jobs.reports import write_import_report
from worker.jobs.request import LinkRequest, validate_options
from worker.management.console import POLL_SECONDS, console_for, show_job, watch
from worker.models import InboxFile, LinkingJob
from worker.tasks import send_job

SOME_FAILED = 3
"""Exit status where all files were imported and reports show failures; 1 is for files that were not."""


class Command(BaseCommand):
    """Import files of learners now."""

    help = """Import CSV files with the columns program_uuid, external_user_key and lms_username.

  manage.py import_links                  what lies in LINKING_INBOX, as the nightly import does
  manage.py import_links FILE …           these files, which stay where they are

Exit status: 0 all linked (or linked already), 3 done with failures, 1 a file was not imported."""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        """Keep the line breaks of the help text."""
        return super().create_parser(prog_name, subcommand, formatter_class=RawDescriptionHelpFormatter, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="a file that is not in the inbox")
        parser.add_argument("--force", action="store_true", help="even where the same content was imported before")
        parser.add_argument("--dry-run", action="store_true", help="find out what would happen, change nothing")
        parser.add_argument("--max-relinks", metavar="N|N%", help="instead of LINKING_IMPORT_MAX_RELINKS")
        parser.add_argument("--no-wait", action="store_true", help="leave the jobs to the worker")
        parser.add_argument("--report", type=Path, metavar="OUT.CSV", help="write one row per learner of all files")

    def handle(self, *_: Any, **options: Any) -> None:
        """Import the files, show what became of them."""
        console = console_for(self.stdout, no_color=options["no_color"])
        if options["no_wait"] and options["report"]:
            msg = "--no-wait leaves the jobs to the worker: it does not go with --report."
            raise CommandError(msg)
        if options["report"] and not options["report"].parent.is_dir():
            msg = f"--report {options['report']}: there is no folder {options['report'].parent}."
            raise CommandError(msg)
        asked = _asked(options)
        try:
            imported, rejected = self._import(options["files"], asked, console)
        except InboxError as error:
            raise CommandError(str(error)) from None
        except BrokerError as error:
            msg = f"the broker (CELERY_BROKER_URL) does not answer: {error}. The jobs start when it does."
            raise CommandError(msg) from None
        if not options["no_wait"]:
            found = [job for file in imported for job in _wait(file, console)]
            if options["report"]:
                with options["report"].open("w", encoding="utf-8", newline="") as report:
                    write_import_report(found, report)
                console.print(f"Report: {escape(str(options['report']))}")
        else:
            found = []
        refused = any(job.state != LinkingJob.State.DONE for job in found)
        if rejected or refused or any(file.message for file in imported):
            msg = "not all of it was imported: see above."
            raise CommandError(msg)
        if any(job.counts.get(outcome) for job in found for outcome in FAILURES):
            sys.exit(SOME_FAILED)

    def _import(
        self, paths: Sequence[Path], asked: ImportOptions, console: Console
    ) -> tuple[list[InboxFile], list[InboxFile]]:
        """Take the files up and have their jobs run; return those that were imported, and those that were not."""
        imported, rejected = [], []
        for file in self._in_place(paths, asked) if paths or asked.dry_run else _from_inbox(asked, console):
            if file.jobs and file.state not in {InboxFile.State.REFUSED, InboxFile.State.REJECTED}:
                _start(file)
                imported.append(file)
                told = f"{len(file.jobs)} job{'s' if len(file.jobs) > 1 else ''}: {', '.join(file.jobs)}"
                console.print(f"{escape(file.name)}: {told}")
            else:
                rejected.append(file)
            if file.state == InboxFile.State.REJECTED and file.kept_as:
                console.print(f"{escape(file.name)} lies in the inbox's rejected/ as {escape(file.kept_as)}.")
            if file.message:
                self.stderr.write(f"{file.name}: {file.message}")
        if not imported and not rejected:
            console.print("There is nothing to import.")
        return imported, rejected

    def _in_place(self, paths: Sequence[Path], asked: ImportOptions) -> Iterator[InboxFile]:
        if not paths:
            folder = inbox.folder()
            paths = [folder / name for name in inbox.look(folder)[0]]
        for path in paths:
            try:
                yield inbox.import_in_place(path, asked)
            except ImportFileError as error:
                for fault in error.faults:
                    self.stderr.write(f"{path}, {fault}" if fault.line else f"{path}: {fault}")
                yield InboxFile(name=path.name, state=InboxFile.State.REJECTED, message=f"not imported: {error}")
            except UnsettledFileError:
                message = "not imported: it changed while it was read"
                yield InboxFile(name=path.name, state=InboxFile.State.REJECTED, message=message)


def _asked(options: dict[str, Any]) -> ImportOptions:
    relinks = options["max_relinks"]
    limit = int(relinks) if relinks and relinks.isdecimal() else relinks
    try:
        validate_options(LinkRequest(program_uuid=UUID(int=0), learners=(), total=0, digest="", max_relinks=limit))
    except ValueError as error:
        raise CommandError(str(error)) from None
    return ImportOptions(force=options["force"], dry_run=options["dry_run"], max_relinks=limit)


def _from_inbox(asked: ImportOptions, console: Console) -> Iterator[InboxFile]:
    folder = inbox.folder()
    settled, growing = inbox.look(folder)
    for name in growing:
        console.print(f"{escape(name)} is still being written: it is left for the next time.")
    yield from inbox.take_up(folder, settled, asked)


def _start(file: InboxFile) -> None:
    for job in inbox.jobs_of(file):
        send_job(job)


def _wait(file: InboxFile, console: Console) -> list[LinkingJob]:
    """Show a file's jobs until they have ended, and see it moved to where it stays."""
    for job in inbox.jobs_of(file):
        watch(job.pk, job.total, console)
        job.refresh_from_db()
        show_job(job, console)
    while file.state == InboxFile.State.SUBMITTED:
        for other in inbox.attend(inbox.folder()):
            _start(other)
        file.refresh_from_db()
        if file.state == InboxFile.State.SUBMITTED:
            time.sleep(POLL_SECONDS)  # A worker has it in hand.
    if file.kept_as:
        console.print(f"{escape(file.name)} lies in the inbox's done/ as {escape(file.kept_as)}, with its report.")
    return inbox.jobs_of(file)
