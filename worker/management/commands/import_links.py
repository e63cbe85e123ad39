"""``manage.py import_links``: import files now, from the inbox or from anywhere."""

import time
from argparse import ArgumentParser
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from rich.markup import escape

from worker import dispatch
from worker.imports import inbox
from worker.imports.folder import list_inbox, prepare_inbox
from worker.imports.import_file import ImportFileError, UnsettledFileError
from worker.imports.submission import DIFF, FULL, import_in_place, jobs_of
from worker.jobs.reports import write_import_report
from worker.management.command import JobCommand
from worker.management.console import POLL_SECONDS, show_job, watch
from worker.models import InboxFile, LinkingJob


class Command(JobCommand):
    """Import files of learners now."""

    help = """Import CSV files with the columns program_uuid, external_user_key and lms_username.

  manage.py import_links                  the files in LINKING_INBOX, as the nightly import does
  manage.py import_links FILE …           these files, which stay where they are

Exit status: 0 all linked (or linked already), 3 done with failures, 1 a file was not imported."""
    broker_hint = "The jobs start when it does."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="a file that is not in the inbox")
        parser.add_argument("--force", action="store_true", help="even where the same content was imported before")
        mode = parser.add_mutually_exclusive_group()
        text = "submit only rows that were not in the last file of their program (default: LINKING_IMPORT_MODE)"
        mode.add_argument("--diff", dest="mode", action="store_const", const=DIFF, help=text)
        mode.add_argument("--full", dest="mode", action="store_const", const=FULL, help="submit all rows")
        self.add_link_options(parser)

    def run(self, options: dict[str, Any]) -> None:
        self.check_link_options(options)
        files = list(self._import(options))
        imported = [file for file in files if _has_jobs_to_run(file)]
        jobs = [] if options["no_wait"] else [job for file in imported for job in self._wait(file)]
        if not files:
            self.console.print("There is nothing to import.")
        if options["report"]:
            self.save_report(options["report"], partial(write_import_report, jobs))
        partly = len(imported) < len(files) or any(file.message for file in imported)
        if partly or any(job.state != LinkingJob.State.DONE for job in jobs):
            msg = "not all of it was imported: see above."
            raise CommandError(msg)
        self.exit_if_any_failed(jobs)

    def _import(self, options: dict[str, Any]) -> Iterator[InboxFile]:
        """Import the files, dispatch and print their jobs; yield each file."""
        in_place = options["files"] or options["dry_run"]
        for file in self._from_paths(options) if in_place else self._from_inbox(options):
            name = escape(file.name)
            if _has_jobs_to_run(file):
                for job in jobs_of(file):
                    dispatch.dispatch(job)
                    if skipped := job.options.get("skipped"):
                        self.console.print(f"{name}: {skipped:,} rows are as in the file before and are skipped.")
                count = f"{len(file.jobs)} job{'s' if len(file.jobs) > 1 else ''}"
                self.console.print(f"{name}: {count}: {', '.join(file.jobs)}")
            if file.state == InboxFile.State.REJECTED and file.kept_as:
                self.console.print(f"{name} lies in the inbox's rejected/ as {escape(file.kept_as)}.")
            if file.message:
                self.stderr.write(f"{file.name}: {file.message}")
            yield file

    def _from_paths(self, options: dict[str, Any]) -> Iterator[InboxFile]:
        paths = options["files"]
        if not paths:
            folder = prepare_inbox()
            paths = [folder / name for name in list_inbox(folder).settled]
        given = {name: options[name] for name in ("force", "max_relinks", "mode", "dry_run")}
        for path in paths:
            try:
                file = import_in_place(path, **given)
            except (ImportFileError, UnsettledFileError) as error:
                file = InboxFile(name=path.name, state=InboxFile.State.REJECTED, message=f"not imported: {error}")
                for fault in error.faults if isinstance(error, ImportFileError) else ():
                    self.stderr.write(fault.in_file(path))
            yield file

    def _from_inbox(self, options: dict[str, Any]) -> Iterator[InboxFile]:
        folder = prepare_inbox()
        settled, growing, left = list_inbox(folder)
        for name, reason in sorted(left.items()):
            self.console.print(f"{escape(name)} is left in the inbox: {reason}.")
        for name in growing:
            self.console.print(f"{escape(name)} is still being written: the next import takes it.")
        given = {name: options[name] for name in ("force", "max_relinks", "mode")}
        yield from inbox.claim_files(folder, settled, **given)

    def _wait(self, file: InboxFile) -> list[LinkingJob]:
        """Show the jobs of a file until they have ended, and wait until the file is moved to ``done/``."""
        for job in jobs_of(file):
            show_job(watch(job.pk, job.total, self.console), self.console)
        while file.state == InboxFile.State.SUBMITTED:
            for other in inbox.advance_files(prepare_inbox()):
                for job in jobs_of(other):
                    dispatch.dispatch(job)
            file.refresh_from_db()
            if file.state == InboxFile.State.SUBMITTED:
                time.sleep(POLL_SECONDS)  # A worker has leased it.
        if file.kept_as:
            self.console.print(
                f"{escape(file.name)} lies in the inbox's done/ as {escape(file.kept_as)}, with its report."
            )
        return jobs_of(file)


def _has_jobs_to_run(file: InboxFile) -> bool:
    return bool(file.jobs) and file.state not in {InboxFile.State.REFUSED, InboxFile.State.REJECTED}
