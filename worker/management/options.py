"""Options, errors and exit statuses that the commands share."""

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID

from django.core.management.base import CommandError
from kombu.exceptions import OperationalError as BrokerError
from rich.console import Console
from rich.markup import escape

from linking.bulk import FAILURES
from worker.exceptions import WorkerError
from worker.jobs.request import LinkRequest, validate_options
from worker.models import LinkingJob

SOME_FAILED = 3
"""Exit status if all jobs are done and some learners were not linked; 1: something was not run."""


def add_link_options(parser: ArgumentParser) -> None:
    """Declare the options of the commands that link."""
    parser.formatter_class = RawDescriptionHelpFormatter  # It keeps the line breaks of the help text.
    parser.add_argument("--dry-run", action="store_true", help="find out what would happen, change nothing")
    parser.add_argument("--max-relinks", metavar="N|N%", help="refuse a job if more enrollments would change hands")
    parser.add_argument("--no-wait", action="store_true", help="print the ids of the jobs and leave them to the worker")
    parser.add_argument("--report", type=Path, metavar="OUT.CSV", help="write one row per learner")


def check_link_options(options: dict[str, Any], excluded_by_no_wait: Iterable[str]) -> None:
    """Check what argparse cannot; convert ``max_relinks``.

    Raises:
        CommandError: options exclude each other, or one has a value that cannot be used.
    """
    if options["no_wait"] and any(options[name] for name in excluded_by_no_wait):
        excluded = " or ".join(f"--{name}" for name in excluded_by_no_wait)
        msg = f"--no-wait leaves the jobs to the worker: it cannot be combined with {excluded}."
        raise CommandError(msg)
    if options["report"] and not options["report"].parent.is_dir():
        msg = f"--report {options['report']}: there is no folder {options['report'].parent}."
        raise CommandError(msg)
    relinks = options["max_relinks"]
    options["max_relinks"] = int(relinks) if relinks and relinks.isdecimal() else relinks
    try:
        validate_options(
            LinkRequest(program_uuid=UUID(int=0), learners=(), total=0, digest="", max_relinks=options["max_relinks"])
        )
    except ValueError as error:
        raise CommandError(str(error)) from None


@contextmanager
def command_errors(broker_hint: str = "") -> Iterator[None]:
    """Raise the errors of the worker, and of a broker that does not answer, as a CommandError: without a traceback."""
    try:
        yield
    except WorkerError as error:
        raise CommandError(str(error)) from None
    except BrokerError as error:
        msg = f"the broker (CELERY_BROKER_URL) does not answer: {error}. {broker_hint}".strip()
        raise CommandError(msg) from None


def save_report(path: Path, console: Console, write: Callable[[TextIO], None]) -> None:
    """Write a report to a file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        write(file)
    console.print(f"Report: {escape(str(path))}")


def exit_if_any_failed(jobs: Iterable[LinkingJob]) -> None:
    """Exit with :data:`SOME_FAILED` if a learner of a job was not linked."""
    if any(job.counts.get(outcome) for job in jobs for outcome in FAILURES):
        sys.exit(SOME_FAILED)
