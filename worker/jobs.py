"""A job's life: submitted, cut into slices, run slice by slice, finished. No Celery in here.

The ledger is the truth: every step looks there for what is still to be done and may be repeated at any time.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Max, Min, QuerySet
from django.utils import timezone

from linking.api import (
    FAILURES,
    SUCCESSES,
    Outcome,
    count_relinks,
    interfering_learners,
    overlap,
    serialize_by,
)
from worker.exceptions import IdempotencyConflictError, JobError, JobFailedError, JobRefusedError
from worker.ledger import SliceLedger, copy_undoable_learners, insert_learners, move_learners
from worker.models import JobSlice, LearnerOutcome, LinkingJob
from worker.orders import Order, allowed_relinks

OPEN_STATES = (LinkingJob.State.RECEIVED, LinkingJob.State.RUNNING)

GONE_TEMPLATE = "the learners of job {job_id} are no longer in the ledger (removed on {day})."

Errors = dict[str, str]
"""The error dictionary: message by external user key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a job is: learners in all, learners done by outcome, and the job's state."""

    state: str
    total: int
    counts: dict[str, int]

    @property
    def done(self) -> int:
        """Learners that have their outcome."""
        return sum(self.counts.values())

    @property
    def is_final(self) -> bool:
        """Whether nothing will happen to the job any more."""
        return self.state not in OPEN_STATES

    @property
    def failed(self) -> int:
        """Learners with a real failure."""
        return sum(self.counts.get(outcome, 0) for outcome in FAILURES)


def submit(job_id: UUID, order: Order, reply: Mapping[str, Any] | None = None) -> LinkingJob:
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
            insert_learners(job.id, order.learners, _slice_size(order))
            _cut(job)
            _guard(job)
            _queue_up(job)
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
            if job.undoes_id != job_id or job.options["dry_run"] != dry_run:
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
        _write_slices(job)
        _queue_up(job)
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
    elif source.options["dry_run"]:
        fault = "was a dry run: it changed nothing."
    elif other := source.undoings.filter(state__in=OPEN_STATES, options__dry_run=False).first():
        fault = f"is being undone by job {other.pk}: wait for it."
    if fault:
        msg = f"job {job_id} {fault}"
        raise JobError(msg)
    refuse_purged(source)
    return source


def _slice_size(order: Order) -> int:
    """Return learners per slice: few messages for a large mapping, one message per learner for a small one."""
    even = math.ceil(order.total / settings.LINKING_MAX_SUBTASKS)
    return order.learners_per_subtask or min(max(even, 1), settings.LINKING_MAX_SLICE)


def _cut(job: LinkingJob) -> None:
    """Bring learners that interfere into one slice, that of the first of them, and write down the slices."""
    learners = LearnerOutcome.objects.filter(job=job)
    groups = interfering_learners(job.program_uuid, _mapping(learners, job))
    at = dict(learners.filter(position__in=groups).values_list("position", "slice")) if groups else {}
    move_learners(job.id, {place: at[first] for place, first in groups.items() if at[place] != at[first]})
    _write_slices(job)


def _write_slices(job: LinkingJob) -> None:
    learners = LearnerOutcome.objects.filter(job=job)
    extents = learners.values_list("slice").annotate(Count("id"), Min("position"), Max("position")).order_by("slice")
    JobSlice.objects.bulk_create(
        [JobSlice(job=job, number=number, total=size, first=first, last=last) for number, size, first, last in extents],
        batch_size=500,
    )


def _mapping(learners: "QuerySet[LearnerOutcome]", job: LinkingJob) -> "QuerySet[LearnerOutcome]":
    """Limit learners of a job to their number, which leaves none out and tells the planner how few they are."""
    return learners[: max(job.total, 1)]


def _guard(job: LinkingJob) -> None:
    """Refuse the job where more enrollments would change hands than allowed."""
    most = job.options.get("max_relinks")
    allowed = allowed_relinks(most, job.total)
    if allowed is None:
        return
    relinks = count_relinks(job.program_uuid, _mapping(LearnerOutcome.objects.filter(job=job), job))
    if relinks > allowed:
        job.state = LinkingJob.State.REFUSED
        job.finished = timezone.now()
        job.message = (
            f"{relinks:,} of {job.total:,} program enrollments would change hands, max_relinks={most}"
            f" allows {allowed:,}: nothing was written. Check the file; raise max_relinks if it is right."
        )
        job.save(update_fields=["state", "finished", "message"])


def look_again(job: LinkingJob) -> None:
    """Count and cut a job that waited once more before it begins: who has which user is not what it was."""
    if job.waits_for and job.state == LinkingJob.State.RECEIVED:
        _guard(job)
    if job.waits_for and job.state == LinkingJob.State.RECEIVED and job.undoes_id is None:
        job.slices.all().delete()
        _cut(job)


def _queue_up(job: LinkingJob) -> None:
    """Let the job wait for those before it that are to link the same learners: one job after the other.

    An undo touches more than its learners' keys and users tell (former users): it waits for every job of the program,
    and every job waits for it.
    """
    if job.state != LinkingJob.State.RECEIVED or job.options["dry_run"]:
        return
    # Of two jobs submitted at once, each must see the other or be seen by it.
    serialize_by(job.program_uuid)
    ours = _mapping(LearnerOutcome.objects.filter(job=job), job)
    for other in LinkingJob.objects.filter(program_uuid=job.program_uuid, state__in=OPEN_STATES).exclude(pk=job.pk):
        theirs = _mapping(LearnerOutcome.objects.filter(job=other, outcome=Outcome.PENDING), other)
        few, many = (ours, theirs) if job.total <= other.total else (theirs, ours)
        if other.options["dry_run"]:
            continue
        if job.undoes_id or other.undoes_id or overlap(job.program_uuid, few, many):
            job.waits_for.append(str(other.pk))
    if job.waits_for:
        job.save(update_fields=["waits_for"])


def must_wait(job: LinkingJob) -> bool:
    """Tell whether a job that the given one waits for is still open."""
    return LinkingJob.objects.filter(pk__in=job.waits_for, state__in=OPEN_STATES).exists()


def released_by(job_id: UUID) -> list[LinkingJob]:
    """Return the jobs that waited for this one, and now for none."""
    waiting = LinkingJob.objects.filter(state=LinkingJob.State.RECEIVED, dispatched=None).exclude(waits_for=[])
    return [job for job in waiting if str(job_id) in job.waits_for and not must_wait(job)]


def open_slices(job: LinkingJob) -> list[int]:
    """Return the numbers of the slices that are not finished."""
    return list(job.slices.filter(finished=None).order_by("number").values_list("number", flat=True))


def start(job: LinkingJob, *, relies_on_chord: bool) -> None:
    """Note that the slices of a job are being sent, and whether a chord will end the job.

    Raises:
        JobRefusedError: what the job waited for has linked learners, and it would take more of them away than it may.
    """
    running = {"state": LinkingJob.State.RUNNING, "started": timezone.now(), "relies_on_chord": relies_on_chord}
    jobs = LinkingJob.objects.filter(pk=job.pk)
    with transaction.atomic():
        for waited in jobs.select_for_update() if job.waits_for else ():
            look_again(waited)
            job.state, job.message = waited.state, waited.message
        if not jobs.filter(state=LinkingJob.State.RECEIVED).update(**running):
            jobs.update(relies_on_chord=relies_on_chord)
    if job.state == LinkingJob.State.REFUSED:
        raise JobRefusedError(job.message)


def note_dispatched(job: LinkingJob) -> None:
    """Note that all slices have their message."""
    LinkingJob.objects.filter(pk=job.pk).update(dispatched=timezone.now())


def finish(job_id: UUID, announce: Callable[[LinkingJob, Errors], None]) -> Errors | None:
    """End a job whose slices are all finished; return its error dictionary, or None where some slice is not.

    Args:
        job_id: which job.
        announce: called with the job and its error dictionary, once however often this is called, under the job's lock.
            Whoever dies between announcing and committing leaves the announcement to be made again.

    Raises:
        JobFailedError: the job had to be given up.
        JobRefusedError: it was refused when it was about to begin.
    """
    if LinkingJob.objects.filter(pk=job_id, state=LinkingJob.State.REFUSED).update(announced=timezone.now()):
        raise JobRefusedError(LinkingJob.objects.get(pk=job_id).message)
    with transaction.atomic():
        job = LinkingJob.objects.select_for_update().get(pk=job_id)
        slices = job.slices.all()
        if job.state != LinkingJob.State.FAILED and any(part.finished is None for part in slices):
            return None
        errors, cut = error_dictionary(job)
        if job.announced is None:
            now = timezone.now()
            job.counts = _sum_counts(slices)
            job.errors_cut = cut
            if job.state in OPEN_STATES:
                job.state = LinkingJob.State.DONE
            job.finished = job.finished or now
            if job.state != LinkingJob.State.FAILED:
                announce(job, errors)
            job.announced = now
            job.save(update_fields=["counts", "errors_cut", "state", "finished", "announced"])
    if job.state == LinkingJob.State.FAILED:
        raise JobFailedError(job.message)
    return errors


def cancel(job_id: UUID) -> LinkingJob:
    """Stop a job: the learners not linked yet get the outcome ``cancelled``; what is linked stays.

    A slice that is being worked on ends as a whole. Call :func:`finish` afterwards.

    Raises:
        JobError: there is no such job, or it is in a final state.
    """
    _close(job_id, LinkingJob.State.CANCELLED, "cancelled")
    return LinkingJob.objects.get(pk=job_id)


def give_up(job_id: UUID, reason: str) -> None:
    """Fail a job that makes no progress however often it is taken up again."""
    _close(job_id, LinkingJob.State.FAILED, reason)


def _close(job_id: UUID, state: LinkingJob.State, message: str) -> None:
    with transaction.atomic():
        job = LinkingJob.objects.select_for_update().filter(pk=job_id).first()
        if job is None:
            msg = f"there is no job {job_id}: manage.py linking_jobs list shows those that there are."
            raise JobError(msg)
        if job.is_final:
            msg = f"job {job_id} is {job.state} already: nothing was changed."
            raise JobError(msg)
        job.state, job.message, job.finished = state, message, timezone.now()
        job.save(update_fields=["state", "message", "finished"])
    skip = connection.features.has_select_for_update_skip_locked
    for number in open_slices(job):
        with transaction.atomic():
            # A slice in hand sees by itself that the job has ended; who gives a job up must not wait for what hangs.
            part = job.slices.filter(number=number)
            if state != LinkingJob.State.FAILED or part.select_for_update(skip_locked=skip).exists():
                SliceLedger(job_id, number).look()


def error_dictionary(job: LinkingJob) -> tuple[Errors, bool]:
    """Return a job's error dictionary in mapping order, and whether LINKING_MAX_RESULT_ERRORS cut it.

    Raises:
        JobError: its learners are gone.
    """
    refuse_purged(job)
    most = settings.LINKING_MAX_RESULT_ERRORS
    silent = [Outcome.PENDING, *SUCCESSES]
    rows = job.learners.exclude(outcome__in=silent).order_by("position").values_list("external_user_key", "message")
    errors = list(rows[: most + 1])
    return dict(errors[:most]), len(errors) > most


def refuse_purged(job: LinkingJob) -> None:
    """Raise a JobError where the job's learners are gone."""
    if job.purged is not None:
        raise JobError(GONE_TEMPLATE.format(job_id=job.pk, day=f"{job.purged:%Y-%m-%d}"))


def progress(job_id: UUID) -> Progress | None:
    """Return how far a job is, None where there is no such job."""
    return progress_of(LinkingJob.objects.filter(pk=job_id)).get(job_id)


def progress_of(found: Iterable[LinkingJob]) -> dict[UUID, Progress]:
    """Return how far each of several jobs is: one query over the slices of those that nobody has been told of yet."""
    found = list(found)
    slices: dict[UUID, list[JobSlice]] = {job.pk: [] for job in found if job.announced is None}
    for part in JobSlice.objects.filter(job__in=slices) if slices else ():
        slices[part.job_id].append(part)
    return {
        job.pk: Progress(
            state=job.state,
            total=job.total,
            counts=job.counts if job.announced else _sum_counts(slices[job.pk]),
        )
        for job in found
    }


def _sum_counts(slices: Iterable[JobSlice]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for part in slices:
        counts.update(part.counts)
    return {outcome.value: counts[outcome] for outcome in Outcome if counts[outcome]}
