"""Writing new jobs into the ledger."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import transaction

from worker.exceptions import IdempotencyConflictError, JobError, JobRefusedError
from worker.jobs.learners import copy_undoable_learners, insert_learners
from worker.jobs.progress import refuse_purged
from worker.jobs.queueing import check_relinks, queue_up
from worker.jobs.request import LinkRequest
from worker.jobs.slicing import cut_into_slices, open_slices, slice_size, write_slices
from worker.models import LinkingJob


def submit(job_id: UUID, order: LinkRequest, reply: Mapping[str, Any] | None = None) -> LinkingJob:
    """Write a job with its learners and slices into the ledger, or find the one that is there already.

    Args:
        job_id: the caller's task id. A second call with the same id finds the job of the first.
        order: what to link. With an idempotency key that is taken, the job that took it is returned.
        reply: what the caller wants done with the answer, for whoever ends the job.

    Raises:
        IdempotencyConflictError: the key stands for another order.
        JobRefusedError: more relinks than allowed; the refused job is in the ledger, without effect.
    """
    with transaction.atomic():
        job, created = LinkingJob.objects.get_or_create(
            **({"idempotency_key": order.idempotency_key} if order.idempotency_key else {"id": job_id}),
            defaults={
                "id": job_id,
                "program_uuid": order.program_uuid,
                "options": order.options,
                "digest": order.digest,
                "total": order.total,
                "reply": dict(reply or {}),
            },
        )
        if created:
            insert_learners(job.id, order.learners, slice_size(order))
            cut_into_slices(job)
            check_relinks(job)
            queue_up(job)
    if job.digest != order.digest:
        name = f"idempotency_key={order.idempotency_key!r}" if order.idempotency_key else f"task id {job_id}"
        msg = (
            f"{name} belongs to job {job.id}, which was asked for another program, mapping or options:"
            " use another, or send what that job was sent."
        )
        raise IdempotencyConflictError(msg)
    if job.state == LinkingJob.State.REFUSED:
        raise JobRefusedError(job.message)
    return job


def submit_undo(
    undo_id: UUID, job_id: UUID, *, dry_run: bool = False, reply: Mapping[str, Any] | None = None
) -> LinkingJob:
    """Write a job that takes back what another one changed into the ledger, or find the one that is there already.

    Args:
        undo_id: the caller's task id. A second call with the same id finds the job of the first.
        job_id: the job to be undone: every learner that it linked and that was not undone yet.
        dry_run: find out what would happen, change nothing.
        reply: as for :func:`submit`.

    Raises:
        JobError: that job cannot be undone (now).
        IdempotencyConflictError: ``undo_id`` stands for something else.
    """
    with transaction.atomic():
        # Two undoings of a job must see each other.
        source = LinkingJob.objects.select_for_update().filter(pk=job_id).first()
        if job := LinkingJob.objects.filter(pk=undo_id).first():
            if job.undoes_id != job_id or job.dry_run != dry_run:
                msg = f"task id {undo_id} belongs to another job: use another."
                raise IdempotencyConflictError(msg)
            return job
        source = _undoable(job_id, source)
        made = {"id": undo_id, "program_uuid": source.program_uuid, "undoes": source, "options": {"dry_run": dry_run}}
        job = LinkingJob.objects.create(**made, total=0, reply=dict(reply or {}))
        job.total = copy_undoable_learners(job, source)
        if not job.total:
            msg = f"job {job_id} has nothing to undo: it linked nobody, or all that it linked were undone."
            raise JobError(msg)
        job.save(update_fields=["total"])
        write_slices(job)
        queue_up(job)
    return job


def _undoable(job_id: UUID, source: LinkingJob | None) -> LinkingJob:
    if source is None:
        msg = f"there is no job {job_id}: manage.py linking_jobs list shows those that there are."
        raise JobError(msg)
    fault = None
    if source.undoes_id:
        fault = f"took job {source.undoes_id} back itself: send the mapping again to link its learners again."
    elif not source.is_final or (source.state == LinkingJob.State.CANCELLED and open_slices(source)):
        fault = f"is {source.state} and not at its end: wait for it, or cancel it."
    elif source.dry_run:
        fault = "was a dry run: it changed nothing."
    elif other := source.undoings.open().without_dry_runs().first():
        fault = f"is being undone by job {other.pk}: wait for it."
    if fault:
        msg = f"job {job_id} {fault}"
        raise JobError(msg)
    refuse_purged(source)
    return source
