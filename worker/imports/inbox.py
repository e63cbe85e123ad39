"""The nightly import: files dropped in a folder, and what becomes of each.

    x.csv ──▶ taken/ID.csv ──▶ its jobs in the ledger ──▶ done/x.csv, done/x.csv.report.csv
                          └──▶ what is wrong with it ──▶ rejected/x.csv, rejected/x.csv.errors.txt

Every step is written down before it is carried out in the folder, and may be repeated by anybody at any time: whoever
is killed leaves it to the next one. Nothing is kept on the disk of a worker.
"""

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID, uuid5

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from linking.bulk import advisory_lock, is_transient
from worker import jobs
from worker.exceptions import InboxError, JobError, JobRefusedError
from worker.imports.import_file import ImportFile, ImportFileError, UnsettledFileError
from worker.imports.rows import Fault
from worker.jobs.reports import write_import_report
from worker.jobs.request import LinkRequest
from worker.logs import log_job_ended
from worker.models import InboxFile, LinkingJob

log = logging.getLogger(__name__)

SETTLED_AFTER = 5.0
"""Seconds for which a file must not have grown."""
FORGOTTEN_AFTER = timedelta(hours=1)
"""When a file is given up that was never moved: its taker died first, and somebody else took it."""
LONGEST_NAME = 255
"""Bytes of a file's name."""
REPORT, ERRORS, PART = ".report.csv", ".errors.txt", ".part"
FOLDERS = {InboxFile.State.DONE: "done", InboxFile.State.REJECTED: "rejected"}
OPEN_STATES = (InboxFile.State.TAKEN, InboxFile.State.SUBMITTED, InboxFile.State.REFUSED)
State = InboxFile.State


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """How files are imported.

    Attributes:
        force: even where the same content was imported before.
        max_relinks: of each program; None: as ``LINKING_IMPORT_MAX_RELINKS`` says.
        dry_run: find out what would happen, change nothing.
    """

    force: bool = False
    max_relinks: int | str | None = None
    dry_run: bool = False


def folder() -> Path:
    """Return the inbox, with its folders in it.

    Raises:
        InboxError: it is not there, or may not be written in.
    """
    inbox: Path | None = settings.LINKING_INBOX
    if inbox is None:
        msg = "LINKING_INBOX is not set: it names the folder that files to import are dropped in."
        raise InboxError(msg)
    try:
        for name in ("taken", *FOLDERS.values()):
            (inbox / name).mkdir(exist_ok=True)
    except OSError as error:
        fault = f"{error.strerror}: it must be a folder that every worker may write in."
        msg = f"LINKING_INBOX={str(inbox)!r} cannot be used: {fault}"
        raise InboxError(msg) from None
    return inbox


def look(inbox: Path) -> tuple[list[str], list[str]]:
    """Return the names of the files in the inbox, those that have stopped growing and those that have not."""
    before = _sizes(inbox)
    if not before:
        return [], []
    time.sleep(SETTLED_AFTER)
    after = _sizes(inbox)
    settled = [name for name in sorted(after) if after[name] == before.get(name)]
    return settled, sorted(after.keys() - settled)


def take_up(inbox: Path, names: Sequence[str], options: ImportOptions | None = None) -> Iterator[InboxFile]:
    """Take up files of the inbox that nobody else has taken, one after the other, and bring each as far as it goes.

    Yields:
        Each file with its jobs: they are the caller's to start.
    """
    for name in names:
        file = _take(inbox, name, options or ImportOptions())
        if file is not None:
            _bring_on(inbox, file)
            yield file


def has_open_files() -> bool:
    """Tell whether there are files that were taken up and are not done."""
    return InboxFile.objects.filter(state__in=OPEN_STATES).exists()


def attend(inbox: Path) -> Iterator[InboxFile]:
    """Bring those files on that were taken up and that nobody has in hand; yield each, as :func:`take_up` does."""
    for key in list(InboxFile.objects.filter(state__in=OPEN_STATES).order_by("created").values_list("pk", flat=True)):
        file = _lease(key)
        if file is not None:
            _bring_on(inbox, file)
            yield file


def import_in_place(path: Path, options: ImportOptions) -> InboxFile:
    """Import a file that is not in the inbox; it stays where it is.

    Raises:
        ImportFileError: what is wrong with it; nothing was written.
        UnsettledFileError: it changed while it was read.
    """
    with ImportFile(path) as content:
        file = InboxFile(name=_printable(path.name), options=_kept(options), state=State.DONE)
        with transaction.atomic():
            if not options.dry_run:
                file.finished = timezone.now()
                file.save(force_insert=True)
                _check_content(file, content.digest)
            _submit(file, content, dry_run=options.dry_run)
            if not options.dry_run:
                file.save()
    return file


def jobs_of(file: InboxFile) -> list[LinkingJob]:
    """Return the jobs of a file, in the order of their programs."""
    return list(LinkingJob.objects.filter(pk__in=file.jobs).order_by("program_uuid"))


def has_ended(file: InboxFile) -> bool:
    """Tell whether nothing will happen to the jobs of a file any more."""
    running = LinkingJob.objects.filter(pk__in=file.jobs, notified=None).exclude(state=LinkingJob.State.REFUSED)
    return not running.exists()


# --- Taking ----------------------------------------------------------------------------------------------------------


def _sizes(inbox: Path) -> dict[str, tuple[int, int, int]]:
    sizes = {}
    with os.scandir(inbox) as entries:
        for entry in entries:
            if entry.name.lower().endswith(".csv") and not entry.name.startswith("."):
                with suppress(FileNotFoundError):  # Taken by somebody else.
                    found = entry.stat(follow_symlinks=False)
                    sizes[entry.name] = (found.st_ino, found.st_size, found.st_mtime_ns)
    return sizes


def _take(inbox: Path, name: str, options: ImportOptions) -> InboxFile | None:
    """Move a file to where nobody else will look for it; None where somebody else was faster."""
    file = InboxFile.objects.create(name=_printable(name), options=_kept(options), leased=timezone.now())
    try:
        (inbox / name).rename(_taken(inbox, file))
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            log.error("file %r cannot be taken up: %s", file.name, error.strerror)  # noqa: TRY400 - tells it all
        if not _exists(_taken(inbox, file)):  # A file server may have moved it and lost its answer.
            file.delete()
            return None
    return file


def _lease(key: UUID) -> InboxFile | None:
    """Return a file that can be brought on, None where somebody has it in hand or its jobs are under way."""
    now = timezone.now()
    with transaction.atomic():
        skip = connection.features.has_select_for_update_skip_locked
        open_files = InboxFile.objects.select_for_update(skip_locked=skip).filter(state__in=OPEN_STATES)
        file = open_files.filter(pk=key).first()
        if file is None or (file.leased and file.leased > now - timedelta(seconds=settings.LINKING_STALL_AFTER)):
            return None
        if file.state == State.SUBMITTED and not has_ended(file):
            return None
        file.leased = now
        file.save(update_fields=["leased"])
    return file


def _bring_on(inbox: Path, file: InboxFile) -> None:
    """Bring a file as far as it goes; what keeps one from it must not keep the others."""
    try:
        if file.state == State.TAKEN:
            _decide(inbox, file)
        if file.state == State.REFUSED:
            _carry_out(inbox, file, State.REJECTED)
        elif file.state == State.SUBMITTED and has_ended(file):
            _carry_out(inbox, file, State.DONE)
    except Exception as error:
        if is_transient(error):
            raise
        told = error if isinstance(error, OSError | sqlite3.Error | JobError) else "a fault of ours"
        log.error("file %r stays as it is, and is tried again: %s: %s", file.name, type(error).__name__, told)  # noqa: TRY400 - other texts may name learners


# --- Deciding ---------------------------------------------------------------------------------------------------------


def _decide(inbox: Path, file: InboxFile) -> None:
    """Check a file that was taken, and write its jobs, or what is wrong with it."""
    path = _taken(inbox, file)
    if not _exists(path):
        if file.created < timezone.now() - FORGOTTEN_AFTER:
            file.delete()
        return
    alive = _heartbeat(file)
    try:
        with ImportFile(path, alive) as content:
            _check_content(file, content.digest)
            _submit(file, content)
        file.state = State.SUBMITTED
    except UnsettledFileError:
        log.warning("file %r is still being written: it is looked at again", file.name)
    except ImportFileError as error:
        log.warning("file %r is rejected: %s", file.name, error)
        _write_errors(inbox, file, error)
        file.state, file.message = State.REFUSED, str(error)
    decided = InboxFile.objects.filter(pk=file.pk, state=State.TAKEN)
    decided.update(state=file.state, message=file.message, jobs=file.jobs, leased=None)


def _check_content(file: InboxFile, digest: str) -> None:
    """Note what is in a file; refuse it where that was imported before."""
    with transaction.atomic():
        # Of two files with the same content, one must see the other.
        advisory_lock(f"content of inbox files {digest}")
        since = timezone.now() - timedelta(days=settings.LINKING_RETENTION_DAYS)
        states = (State.TAKEN, State.SUBMITTED, State.DONE)
        same = InboxFile.objects.filter(digest=digest, state__in=states, created__gt=since).exclude(pk=file.pk)
        earlier = None if file.options["force"] else same.order_by("created").first()
        if earlier is None:
            file.digest = digest
            InboxFile.objects.filter(pk=file.pk).update(digest=digest)
            return
    ids = f" (job {', '.join(earlier.jobs)})" if earlier.jobs else ""
    raise ImportFileError(
        [
            Fault(
                None,
                f"the same content was imported as {earlier.name} on {earlier.created:%Y-%m-%d %H:%M} UTC{ids}."
                " To import it again: manage.py import_links --force FILE",
            )
        ]
    )


def _submit(file: InboxFile, content: ImportFile, *, dry_run: bool = False) -> None:
    """Write a job for each program of a file; one that is there already is found."""
    refusals = []
    file.jobs = []
    for program, total in sorted(content.programs.items()):
        job_id = uuid5(file.pk, str(program))
        order = LinkRequest(
            program_uuid=program,
            learners=content.learners(program),
            total=total,
            digest=sha256(f"{content.digest} {program} {file.options['max_relinks']} {dry_run}".encode()).hexdigest(),
            max_relinks=file.options["max_relinks"],
            dry_run=dry_run,
        )
        _touch(file)
        with transaction.atomic():
            # Writing a million learners takes longer than the lease: while the row is locked, nobody else has it.
            InboxFile.objects.select_for_update().filter(pk=file.pk).first()
            try:
                jobs.submit(job_id, order)
            except JobRefusedError as refusal:
                log_job_ended(LinkingJob.objects.get(pk=job_id))
                refusals.append(f"program {program}: {refusal}")
            LinkingJob.objects.filter(pk=job_id).update(source=file.name)
        file.jobs.append(str(job_id))
    if len(refusals) == len(content.programs):
        raise ImportFileError([Fault(None, refusal) for refusal in refusals])
    file.message = " ".join(refusals)


# --- Carrying out -----------------------------------------------------------------------------------------------------


def _carry_out(inbox: Path, file: InboxFile, state: InboxFile.State) -> None:
    """Move a file to where it stays, with what is to be said about it beside it."""
    target = inbox / FOLDERS[state]
    _choose_name(target, file)
    taken = _taken(inbox, file)
    if _exists(taken):  # Else it was moved, as the last thing.
        if state == State.DONE:
            with _written(inbox / "taken" / f"{file.pk}{REPORT}", target / f"{file.kept_as}{REPORT}") as report:
                write_import_report(jobs_of(file), report, _heartbeat(file))
        else:
            _move(inbox / "taken" / f"{file.pk}{ERRORS}", target / f"{file.kept_as}{ERRORS}")
        _move(taken, target / file.kept_as)
    file.state, file.finished = state, timezone.now()
    InboxFile.objects.filter(pk=file.pk).update(state=file.state, finished=file.finished, leased=None)


def _choose_name(target: Path, file: InboxFile) -> None:
    """Write down under which name a file is kept: its own, or with a number where that name is taken."""
    with transaction.atomic():
        advisory_lock("names of inbox files")
        file.refresh_from_db(fields=["kept_as"])
        number = 1
        while not file.kept_as:
            name = _numbered(file.name, number)
            chosen = InboxFile.objects.filter(kept_as=name, state__in=OPEN_STATES).exists()
            if not chosen and not any(_exists(target / f"{name}{end}") for end in ("", REPORT, ERRORS)):
                file.kept_as = name
            number += 1
        InboxFile.objects.filter(pk=file.pk).update(kept_as=file.kept_as)


def _numbered(name: str, number: int) -> str:
    """Return ``x.csv``, ``x.2.csv``, …, short enough for a report's name."""
    path = Path(name)
    end = path.suffix if number == 1 else f".{number}{path.suffix}"
    most = LONGEST_NAME - len(f"{end}{max(REPORT, ERRORS, key=len)}".encode())
    return path.stem.encode()[:most].decode(errors="ignore") + end


def _write_errors(inbox: Path, file: InboxFile, error: ImportFileError) -> None:
    path = inbox / "taken" / f"{file.pk}{ERRORS}"
    with _written(path, path) as errors:
        errors.write(f"{file.name} was not imported, nothing of it was linked: {error}.\n\n")
        errors.writelines(f"{fault}\n" for fault in error.faults)
        if error.more:
            errors.write(f"There are more; these are the first {len(error.faults)}.\n")


@contextmanager
def _written(draft: Path, path: Path) -> Iterator[TextIO]:
    """Write a file that appears under its name when it is complete, and on the disk."""
    part = draft.with_name(draft.name + PART)
    part.unlink(missing_ok=True)  # Not to be continued by one who stood still while he wrote it.
    with part.open("x", encoding="utf-8", newline="") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    _move(part, path)


def _move(source: Path, target: Path) -> None:
    with suppress(FileNotFoundError):  # Moved already, by one who was killed or stood still after it.
        source.rename(target)


def _heartbeat(file: InboxFile) -> Callable[[], None]:
    """Return what tells others that a file is in hand."""
    return lambda: _touch(file)


def _touch(file: InboxFile) -> None:
    InboxFile.objects.filter(pk=file.pk).update(leased=timezone.now())


def _taken(inbox: Path, file: InboxFile) -> Path:
    return inbox / "taken" / f"{file.pk}.csv"


def _exists(path: Path) -> bool:
    return os.path.lexists(path)


def _kept(options: ImportOptions) -> dict[str, Any]:
    relinks = settings.LINKING_IMPORT_MAX_RELINKS if options.max_relinks is None else options.max_relinks
    return {"force": options.force, "max_relinks": relinks}


def _printable(name: str) -> str:
    """Return a file's name as a database can store it."""
    return name.encode(errors="surrogateescape").decode(errors="replace")[:LONGEST_NAME]
