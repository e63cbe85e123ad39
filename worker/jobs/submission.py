"""Submission: a new job, with its learners and slices, is written into the ledger."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from worker.exceptions import IdempotencyConflictError, JobError, JobRefusedError
from worker.jobs.imported_rows import note_undo
from worker.jobs.learners import copy_undoable_learners, insert_learners
from worker.jobs.progress import require_learners
from worker.jobs.queueing import check_relinks, may_interfere, queue_up, withdraw
from worker.jobs.request import LinkRequest
from worker.jobs.slicing import cut_into_slices, open_slices, slice_size, write_even_slices, write_slices
from worker.models import LinkingJob


def submit(
    job_id: UUID,
    request: LinkRequest,
    reply: Mapping[str, Any] | None = None,
    *,
    source: str = "",
    begin: bool = False,
) -> LinkingJob:
    """Write a job into the ledger, or return the one that is there already.

    Args:
        job_id: the caller's task id. A second call with the same id returns the job of the first.
        request: the mapping and options. If its idempotency key is taken, the job that has it is returned.
        reply: callbacks of the caller, sent when the job ends; see :attr:`LinkingJob.reply`.
        source: where the mapping came from; see :attr:`LinkingJob.source`.
        begin: write the job as running, unless it must wait: the caller dispatches it at once.

    Raises:
        IdempotencyConflictError: the key or id belongs to another request.
        JobRefusedError: more relinks than allowed; the refused job is in the ledger, without effect.
    """
    # A task id is rarely sent twice: writing the job shows it. A key is sent again while its job runs.
    job = _find(job_id, request) if request.idempotency_key else None
    job = job or _write(job_id, request, reply or {}, source, begin=begin)
    if job is None:
        raise _used_id(job_id)
    if job.pk != job_id and LinkingJob.objects.filter(pk=job_id).exists():
        raise _used_id(job_id)
    if job.digest != request.digest:
        name = f"idempotency_key={request.idempotency_key!r}" if request.idempotency_key else f"task id {job_id}"
        msg = (
            f"{name} belongs to job {job.pk}, which was asked for another program, mapping or options:"
            " use another, or send what that job was sent."
        )
        raise IdempotencyConflictError(msg)
    if job.state == LinkingJob.State.REFUSED:
        raise JobRefusedError(job.message)
    return job


def _find(job_id: UUID, request: LinkRequest) -> LinkingJob | None:
    """Return the job that a request made when it was received before."""
    key = request.idempotency_key
    return LinkingJob.objects.filter(**({"idempotency_key": key} if key else {"id": job_id})).first()


def _write(
    job_id: UUID, request: LinkRequest, reply: Mapping[str, Any], source: str, *, begin: bool
) -> LinkingJob | None:
    """Write a new job; return the one that another process wrote at the same time, None if it has another key."""
    try:
        with transaction.atomic():
            job = LinkingJob.objects.create(
                id=job_id,
                program_uuid=request.program_uuid,
                options=request.options,
                digest=request.digest,
                idempotency_key=request.idempotency_key,
                total=request.total,
                reply=dict(reply),
                source=source,
                state=LinkingJob.State.RUNNING if begin else LinkingJob.State.RECEIVED,
                started=timezone.now() if begin else None,
            )
            size = slice_size(request)
            insert_learners(job.pk, request.learners, size)
            queue_up(job)  # First: from here on, no job relinks its learners but those that it waits for.
            if may_interfere(job):
                cut_into_slices(job)
            else:
                write_even_slices(job, size)
            if job.waits_for:  # Its start checks it.
                job.state, job.started = LinkingJob.State.RECEIVED, None
                job.save(update_fields=["waits_for", "state", "started"])
            else:
                check_relinks(job)
            if job.is_final:
                withdraw(job)
            return job
    except IntegrityError:
        written = _find(job_id, request)
        if written is None and not LinkingJob.objects.filter(pk=job_id).exists():
            raise
        return written


def _used_id(job_id: UUID) -> IdempotencyConflictError:
    msg = f"task id {job_id} belongs to a job with another idempotency_key, or with none: use another id."
    return IdempotencyConflictError(msg)


def submit_undo(
    undo_id: UUID, job_id: UUID, *, dry_run: bool = False, reply: Mapping[str, Any] | None = None
) -> LinkingJob:
    """Write a job that undoes another one into the ledger, or return the one that is there already.

    Args:
        undo_id: the caller's task id. A second call with the same id returns the job of the first.
        job_id: the job to undo: each learner that it linked and that was not undone yet.
        dry_run: only find out what would happen.
        reply: as for :func:`submit`.

    Raises:
        JobError: that job cannot be undone, or not yet.
        IdempotencyConflictError: ``undo_id`` belongs to another request.
    """
    with transaction.atomic():
        # Locked: of two undo requests for a job, one must see the other.
        source = LinkingJob.objects.select_for_update().find(job_id)
        if job := LinkingJob.objects.filter(pk=undo_id).first():
            if job.undoes_id != job_id or job.dry_run != dry_run:
                msg = f"task id {undo_id} belongs to another job: use another."
                raise IdempotencyConflictError(msg)
            return job
        _check_undoable(source)
        columns = {"program_uuid": source.program_uuid, "undoes": source, "options": {"dry_run": dry_run}}
        job = LinkingJob.objects.create(id=undo_id, total=0, reply=dict(reply or {}), **columns)
        job.total = copy_undoable_learners(job, source)
        if not job.total:
            msg = f"job {job_id} has nothing to undo: it linked nobody, or all that it linked were undone."
            raise JobError(msg)
        write_slices(job)
        queue_up(job)
        note_undo(job, source)
        job.save(update_fields=["total", "waits_for"])
    return job


def _check_undoable(job: LinkingJob) -> None:
    fault = None
    if job.undoes_id:
        fault = f"undid job {job.undoes_id}: send the mapping again to link its learners again."
    elif not job.is_final or (job.state == LinkingJob.State.CANCELLED and open_slices(job)):
        fault = f"is {job.state} and not at its end: wait for it, or cancel it."
    elif job.dry_run:
        fault = "was a dry run: it changed nothing."
    elif other := job.undoings.open().without_dry_runs().first():
        fault = f"is being undone by job {other.pk}: wait for it."
    if fault:
        msg = f"job {job.pk} {fault}"
        raise JobError(msg)
    require_learners(job)
