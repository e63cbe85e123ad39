"""The nightly import: files dropped in a folder, each claimed and imported once.

    x.csv ──▶ taken/ID.csv ──▶ its jobs in the ledger ──▶ done/x.csv, done/x.csv.report.csv
                          └──▶ its faults ──────────────▶ rejected/x.csv, rejected/x.csv.errors.txt

Each step is written to the file's row before the folder is changed, and may be repeated by any process at any time:
after a kill, another process continues. Nothing is kept on the disk of a worker.
"""

import logging
import os
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from linking.bulk import advisory_lock, is_transient
from worker.exceptions import JobError
from worker.imports.folder import DRAFT, ERRORS, REPORT, free_name, move, write_atomically
from worker.imports.import_file import ImportFileError, UnsettledFileError
from worker.imports.submission import (
    jobs_have_ended,
    jobs_of,
    new_file,
    read_file,
    record_content,
    renew_lease,
    submit_jobs,
)
from worker.jobs.reports import write_import_report
from worker.models import InboxFile

log = logging.getLogger(__name__)

State = InboxFile.State
OPEN_STATES = (State.TAKEN, State.SUBMITTED, State.REFUSED)
FORGET_AFTER = timedelta(hours=1)
"""Age of a row whose file was never moved, after which the row is deleted: another process has claimed the file."""


def claim_files(
    inbox: Path,
    names: Sequence[str],
    *,
    force: bool = False,
    max_relinks: int | str | None = None,
    mode: str | None = None,
) -> Iterator[InboxFile]:
    """Claim files of the inbox, unless other processes do; advance and yield each: the caller dispatches its jobs."""
    for name in names:
        file = _claim(inbox, name, new_file(name, force=force, max_relinks=max_relinks, mode=mode))
        if file is not None:
            _advance(inbox, file)
            yield file


def has_open_files() -> bool:
    """Return whether there are claimed files that are not in a final state."""
    return InboxFile.objects.filter(state__in=OPEN_STATES).exists()


def advance_files(inbox: Path) -> Iterator[InboxFile]:
    """Advance the claimed files that no process has leased; yield each as :func:`claim_files` does."""
    for key in list(InboxFile.objects.filter(state__in=OPEN_STATES).order_by("created").values_list("pk", flat=True)):
        file = _lease(key)
        if file is not None:
            _advance(inbox, file)
            yield file


def _claimed(inbox: Path, file: InboxFile, suffix: str = ".csv") -> Path:
    return inbox / "taken" / f"{file.pk}{suffix}"


def _claim(inbox: Path, name: str, file: InboxFile) -> InboxFile | None:
    """Save the row of a file and move the file to ``taken/``; return None if another process was faster."""
    file.leased = timezone.now()
    file.save(force_insert=True)
    try:
        (inbox / name).rename(_claimed(inbox, file))
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            log.error("file %r cannot be claimed: %s", file.name, error.strerror)  # noqa: TRY400 - the text is complete
        if not os.path.lexists(_claimed(inbox, file)):  # Else a file server moved it, and its response was lost.
            file.delete()
            return None
    return file


def _lease(key: UUID) -> InboxFile | None:
    """Lease and return a file that can be advanced; return None if it is leased already or its jobs have not ended."""
    now = timezone.now()
    with transaction.atomic():
        skip = connection.features.has_select_for_update_skip_locked
        open_files = InboxFile.objects.select_for_update(skip_locked=skip).filter(state__in=OPEN_STATES)
        file = open_files.filter(pk=key).first()
        if file is None or (file.leased and file.leased > now - timedelta(seconds=settings.LINKING_STALL_AFTER)):
            return None
        if file.state == State.SUBMITTED and not jobs_have_ended(file):
            return None
        file.leased = now
        file.save(update_fields=["leased"])
    return file


def _advance(inbox: Path, file: InboxFile) -> None:
    """Advance a file as far as possible; log an error, so that other files are processed all the same."""
    try:
        if file.state == State.TAKEN:
            _check_and_submit(inbox, file)
        if file.state == State.REFUSED:
            _move_to_final(inbox, file, State.REJECTED)
        elif file.state == State.SUBMITTED and jobs_have_ended(file):
            _move_to_final(inbox, file, State.DONE)
    except Exception as error:
        if is_transient(error):
            raise
        reason = error if isinstance(error, OSError | sqlite3.Error | JobError) else "unexpected error"
        log.error("file %r could not be processed and is retried: %s: %s", file.name, type(error).__name__, reason)  # noqa: TRY400 - other texts may name learners


def _check_and_submit(inbox: Path, file: InboxFile) -> None:
    """Read a claimed file; submit its jobs, or write its faults."""
    path = _claimed(inbox, file)
    if not os.path.lexists(path):
        if file.created < timezone.now() - FORGET_AFTER:
            file.delete()
        return
    try:
        with read_file(path, file, partial(renew_lease, file)) as content:
            record_content(file, content)
            submit_jobs(file, content)
        file.state = State.SUBMITTED
    except UnsettledFileError:
        log.warning("file %r is still being written and is read again later", file.name)
    except ImportFileError as error:
        log.warning("file %r is rejected: %s", file.name, error)
        _write_errors(inbox, file, error)
        file.state, file.message = State.REFUSED, str(error)
    checked = InboxFile.objects.filter(pk=file.pk, state=State.TAKEN)
    checked.update(state=file.state, message=file.message, jobs=file.jobs, leased=None)


def _write_errors(inbox: Path, file: InboxFile, error: ImportFileError) -> None:
    with write_atomically(_claimed(inbox, file, ERRORS + DRAFT), _claimed(inbox, file, ERRORS)) as errors:
        errors.write(f"{file.name} was not imported, nothing of it was linked: {error}.\n\n")
        errors.writelines(f"{fault}\n" for fault in error.faults)
        if error.more:
            errors.write(f"There are more; these are the first {len(error.faults)}.\n")


def _move_to_final(inbox: Path, file: InboxFile, state: InboxFile.State) -> None:
    """Move a file to ``done/`` with its report, or to ``rejected/`` with its faults."""
    target = inbox / state.value
    _choose_name(target, file)
    path = _claimed(inbox, file)
    if os.path.lexists(path):  # Else it was moved by an earlier attempt: it is moved last.
        if state == State.DONE:
            with write_atomically(_claimed(inbox, file, REPORT + DRAFT), target / f"{file.kept_as}{REPORT}") as report:
                write_import_report(jobs_of(file), report, partial(renew_lease, file))
        else:
            move(_claimed(inbox, file, ERRORS), target / f"{file.kept_as}{ERRORS}")
        move(path, target / file.kept_as)
    file.state, file.finished = state, timezone.now()
    InboxFile.objects.filter(pk=file.pk).update(state=file.state, finished=file.finished, leased=None)


def _choose_name(target: Path, file: InboxFile) -> None:
    """Write to the row which name the file gets: its own, or one with a number if that is in use."""
    with transaction.atomic():
        advisory_lock("names of inbox files")
        file.refresh_from_db(fields=["kept_as"])
        if not file.kept_as:
            reserved = InboxFile.objects.filter(state__in=OPEN_STATES).exclude(kept_as="")
            file.kept_as = free_name(target, file.name, set(reserved.values_list("kept_as", flat=True)))
            InboxFile.objects.filter(pk=file.pk).update(kept_as=file.kept_as)
