"""The jobs of an import file, one per program; their ids are derived from the file, so that a repetition finds them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from linking.bulk import advisory_lock
from worker import jobs
from worker.exceptions import JobRefusedError
from worker.imports.faults import Fault
from worker.imports.folder import MAX_NAME, SUFFIX
from worker.imports.import_file import ImportFile, ImportFileError
from worker.jobs.imported_rows import lock_rows, read_rows, read_sums, record_rows, settle_program
from worker.jobs.request import LinkRequest
from worker.jobs.row_digests import differing_buckets, row_digest_of
from worker.logs import log_job_ended
from worker.models import InboxFile, LinkingJob, ProgramFile
from worker.relink_limit import allowed_relinks

State = InboxFile.State
FULL, DIFF = MODES = ("full", "diff")
"""Modes of an import: all rows are submitted, or those that were not in the last file of their program."""


def new_file(name: str, *, force: bool, max_relinks: int | str | None, mode: str | None = None) -> InboxFile:
    """Return a row that is not saved; ``max_relinks`` is per program, by default ``LINKING_IMPORT_MAX_RELINKS``.

    With ``force``, content that was imported before is imported again. ``mode`` is ``full`` or ``diff``, by default the
    one in the file's name (``x.diff.csv``), or ``LINKING_IMPORT_MODE``.
    """
    options: dict[str, Any] = {"force": force}
    options["max_relinks"] = settings.LINKING_IMPORT_MAX_RELINKS if max_relinks is None else max_relinks
    if (mode or _mode_in(name) or settings.LINKING_IMPORT_MODE) == DIFF:
        options["mode"] = DIFF
    return InboxFile(name=storable_name(name), options=options)


def _mode_in(name: str) -> str | None:
    _, _, mode = name.lower().removesuffix(SUFFIX).rpartition(".")
    return mode if mode in MODES else None


def read_file(path: Path, file: InboxFile, on_progress: Callable[[], None] = lambda: None) -> ImportFile:
    """Read an import file; with digests, if its rows may have to be compared or recorded.

    Raises:
        ImportFileError: the faults of the file.
        UnsettledFileError: the file changed while it was read.
    """
    is_compared = _is_diff(file) or ProgramFile.objects.exists()
    return ImportFile(path, on_progress, row_digest_of if is_compared else None)


def _is_diff(file: InboxFile) -> bool:
    return bool(file.options.get("mode") == DIFF)


def storable_name(name: str) -> str:
    """Return the name of a file as a database can store it."""
    return name.encode(errors="surrogateescape").decode(errors="replace")[:MAX_NAME]


def import_in_place(
    path: Path,
    *,
    force: bool = False,
    max_relinks: int | str | None = None,
    mode: str | None = None,
    dry_run: bool = False,
) -> InboxFile:
    """Import a file that stays where it is; see :func:`new_file` for the options.

    Each program is submitted in a transaction of its own. If the process dies in between, the next import of the same
    content with the same options submits the rest.

    Raises:
        ImportFileError: the faults of the file; nothing was written, or all jobs were refused.
        UnsettledFileError: the file changed while it was read.
    """
    file = new_file(path.name, force=force, max_relinks=max_relinks, mode=mode)
    file.state = State.IN_PLACE
    with read_file(path, file) as content:
        if dry_run:  # It does not count as an import.
            submit_jobs(file, content, dry_run=True)
            return file
        file = record_content(file, content)
        try:
            submit_jobs(file, content)
        except ImportFileError as error:
            file.message = str(error)
            _end_in_place(file, State.REJECTED)
            raise
        _end_in_place(file, State.DONE)
    return file


def _end_in_place(file: InboxFile, state: InboxFile.State) -> None:
    file.state, file.finished = state, timezone.now()
    file.save()


def record_content(file: InboxFile, content: ImportFile) -> InboxFile:
    """Save a file with the digest of its content; refuse content that was imported before, unless forced.

    In diff mode the content of the last file is accepted again: in a night without news it has no new row.

    Returns:
        The file, or the interrupted import in place that it continues.

    Raises:
        ImportFileError: the same content was imported before.
    """
    digest = content.digest
    with transaction.atomic():
        # Serialised: of two files with the same content, one must see the other.
        advisory_lock(f"content of inbox files {digest}")
        since = timezone.now() - timedelta(days=settings.LINKING_RETENTION_DAYS)
        states = (State.TAKEN, State.SUBMITTED, State.IN_PLACE, State.DONE)
        same = InboxFile.objects.filter(digest=digest, state__in=states, created__gt=since).exclude(pk=file.pk)
        earlier = list(same.order_by("created"))
        if file.state == State.IN_PLACE:
            for other in earlier:
                if other.state == State.IN_PLACE and other.options == file.options:
                    return other
        if not earlier or file.options["force"] or (_is_diff(file) and _is_last(content)):
            file.digest = digest
            if file.state == State.IN_PLACE:
                file.save(force_insert=True)
            else:  # Only the digest: another process may have changed the row.
                InboxFile.objects.filter(pk=file.pk).update(digest=digest)
            return file
    raise ImportFileError([Fault(None, _imported_before(earlier[0]))])


def _is_last(content: ImportFile) -> bool:
    """Return whether the last file of each program has this content."""
    last = ProgramFile.objects.filter(pk__in=content.programs, digest=content.digest)
    return last.count() == len(content.programs)


def _imported_before(file: InboxFile) -> str:
    as_file = f"as {file.name} on {file.created:%Y-%m-%d %H:%M} UTC"
    again = "To import it again: manage.py import_links --force FILE"
    if file.state == State.IN_PLACE:
        return (
            f"manage.py import_links began to import the same content {as_file}: if it was interrupted, repeat it with"
            f" the same options, and it submits the rest. {again}"
        )
    ids = f" (job {', '.join(file.jobs)})" if file.jobs else ""
    return f"the same content was imported {as_file}{ids}. {again}"


def submit_jobs(file: InboxFile, content: ImportFile, *, dry_run: bool = False) -> None:
    """Submit a job for each program of a file, each in a transaction of its own.

    Set the file's ``jobs``, and ``message`` if some were refused.

    Raises:
        ImportFileError: all jobs were refused.
    """
    refusals = []
    file.jobs = []
    for program, total in sorted(content.programs.items()):
        job_id = uuid5(file.pk, str(program))
        request = LinkRequest(
            program_uuid=program,
            learners=content.learners(program),
            total=total,
            digest=sha256(f"{content.digest} {program} {file.options['max_relinks']} {dry_run}".encode()).hexdigest(),
            max_relinks=file.options["max_relinks"],
            dry_run=dry_run,
        )
        renew_lease(file)
        with transaction.atomic():
            # Writing a million learners takes longer than the lease; the lock on the row keeps other processes away.
            InboxFile.objects.select_for_update().filter(pk=file.pk).first()
            try:
                _submit(job_id, request, file, content)
            except JobRefusedError as refusal:
                log_job_ended(LinkingJob.objects.get(pk=job_id))
                refusals.append(f"program {program}: {refusal}")
        file.jobs.append(str(job_id))
    if len(refusals) == len(content.programs):
        raise ImportFileError([Fault(None, refusal) for refusal in refusals])
    file.message = " ".join(refusals)


def _submit(job_id: UUID, request: LinkRequest, file: InboxFile, content: ImportFile) -> None:
    """Submit the job of a program; compare its rows with those of its last file and record them, as the mode demands.

    Without diff mode all rows are submitted, but a program that has a last file gets this one as its last.

    Raises:
        JobRefusedError: nothing is recorded.
    """
    program, total = request.program_uuid, request.total
    is_recorded = _is_diff(file) or ProgramFile.objects.filter(pk=program).exists()
    # A job that is there already was recorded with it: another process, or an earlier attempt, has submitted it.
    if not (is_recorded and content.has_digests) or LinkingJob.objects.filter(pk=job_id).exists():
        jobs.submit(job_id, request, source=file.name)
        return
    lock_rows(program)
    settle_program(program)
    buckets = differing_buckets(content.sum_buckets(program), read_sums(program))
    new = content.compare(program, buckets, read_rows(program, buckets))
    request = replace(request, skipped=0)
    if _is_diff(file):
        # The limit is one of the file: a percentage of ten new rows would allow none of them to be relinked.
        most = allowed_relinks(request.max_relinks, total)
        learners = content.new_learners()
        request = replace(request, learners=learners, total=new, skipped=total - new, max_relinks=most)
    jobs.submit(job_id, request, source=file.name)
    if not request.dry_run:
        last = ProgramFile(program_uuid=program, name=file.name, digest=content.digest, total=total)
        record_rows(last, job_id, gone=content.gone_keys(), new=content.new_learners())


def jobs_of(file: InboxFile) -> list[LinkingJob]:
    """Return the jobs of a file, in the order of their programs."""
    return list(LinkingJob.objects.filter(pk__in=file.jobs).order_by("program_uuid"))


def jobs_have_ended(file: InboxFile) -> bool:
    """Return whether all jobs of a file have ended and sent their results."""
    return not LinkingJob.objects.unnotified().filter(pk__in=file.jobs).exists()


def renew_lease(file: InboxFile) -> None:
    """Keep other processes away from a file for ``LINKING_STALL_AFTER`` seconds from now."""
    InboxFile.objects.filter(pk=file.pk).update(leased=timezone.now())
