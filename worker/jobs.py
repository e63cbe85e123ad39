"""A job's life: submitted, cut into slices, run slice by slice, finished. No Celery in here.

The ledger is the truth: every step looks there for what is still to be done and may be repeated at any time.
"""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Count, QuerySet
from django.utils import timezone

from linking.api import (
    FAILURES,
    SUCCESSES,
    Outcome,
    count_relinks,
    interfering_learners,
    link_slice,
    rehearse_slice,
)
from worker.exceptions import IdempotencyConflictError, JobRefusedError
from worker.ledger import RehearsalLedger, SliceLedger, insert_learners, move_learners
from worker.models import JobSlice, LearnerOutcome, LinkingJob
from worker.orders import Order

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
        return self.state not in {LinkingJob.State.RECEIVED, LinkingJob.State.RUNNING}

    @property
    def failed(self) -> int:
        """Learners with a real failure."""
        return sum(self.counts.get(outcome, 0) for outcome in FAILURES)


def submit(job_id: UUID, order: Order) -> LinkingJob:
    """Write a job with its learners and slices into the ledger, or find the one that is there already.

    Args:
        job_id: the caller's task id. A second call with the same id finds the job of the first.
        order: what to link. With an idempotency key that is taken, the job that took it is returned.

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
                "digest": order.digest(),
                "total": len(order.learners),
            },
        )
        if created:
            insert_learners(job.id, order.learners, _slice_size(order))
            _cut(job)
            _guard(job, order)
    if order.idempotency_key and job.digest != order.digest():
        msg = (
            f"idempotency_key={order.idempotency_key!r} belongs to job {job.id}, which was asked for another program,"
            " mapping or options: use another key, or send what that job was sent."
        )
        raise IdempotencyConflictError(msg)
    if job.state == LinkingJob.State.REFUSED:
        raise JobRefusedError(job.message)
    return job


def _slice_size(order: Order) -> int:
    """Return learners per slice: few messages for a large mapping, one message per learner for a small one."""
    even = math.ceil(len(order.learners) / settings.LINKING_MAX_SUBTASKS)
    return order.learners_per_subtask or min(max(even, 1), settings.LINKING_MAX_SLICE)


def _cut(job: LinkingJob) -> None:
    """Bring learners that interfere into one slice, that of the first of them, and write down the slices."""
    learners = LearnerOutcome.objects.filter(job=job)
    groups = interfering_learners(job.program_uuid, learners)
    at = dict(learners.filter(position__in=groups).values_list("position", "slice")) if groups else {}
    move_learners(job.id, {place: at[first] for place, first in groups.items() if at[place] != at[first]})
    sizes = learners.values_list("slice").annotate(Count("id")).order_by("slice")
    JobSlice.objects.bulk_create(
        [JobSlice(job=job, number=number, total=size) for number, size in sizes], batch_size=500
    )


def _guard(job: LinkingJob, order: Order) -> None:
    """Refuse the job where more enrollments would change hands than allowed."""
    allowed = order.allowed_relinks
    if allowed is None:
        return
    relinks = count_relinks(job.program_uuid, LearnerOutcome.objects.filter(job=job))
    if relinks > allowed:
        job.state = LinkingJob.State.REFUSED
        job.finished = timezone.now()
        job.message = (
            f"{relinks:,} of {job.total:,} program enrollments would change hands, max_relinks={order.max_relinks}"
            f" allows {allowed:,}: nothing was written. Check the file; raise max_relinks if it is right."
        )
        job.save(update_fields=["state", "finished", "message"])


def open_slices(job: LinkingJob) -> list[int]:
    """Return the numbers of the slices that are not finished."""
    return list(job.slices.filter(finished=None).order_by("number").values_list("number", flat=True))


def start(job: LinkingJob) -> None:
    """Note that the job runs."""
    LinkingJob.objects.filter(pk=job.pk, state=LinkingJob.State.RECEIVED).update(
        state=LinkingJob.State.RUNNING, started=timezone.now()
    )


def note_dispatched(job: LinkingJob) -> None:
    """Note that all slices have their message."""
    LinkingJob.objects.filter(pk=job.pk).update(dispatched=timezone.now())


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceRun:
    """What running a slice came to: its learners by outcome, how many this run settled, and who finished the slice."""

    counts: dict[str, int]
    settled: int
    finished_by: str


def run_slice(job_id: UUID, number: int, worked_by: str = "") -> SliceRun:
    """Link the open learners of a slice.

    Args:
        job_id: which job.
        number: which of its slices.
        worked_by: the task id that works on it.

    Raises:
        DatabaseError: the database is out of reach; what is done stands, the rest stays open.
    """
    job = LinkingJob.objects.only("program_uuid", "options", "state").get(pk=job_id)
    if job.options.get("dry_run"):
        ledger = SliceLedger(job_id, number, worked_by, at_once=None)
        rehearsal = RehearsalLedger(ledger)
        rehearse_slice(job.program_uuid, rehearsal)
        with transaction.atomic():
            rehearsal.write_down()
    else:
        ledger = SliceLedger(job_id, number, worked_by)
        link_slice(job.program_uuid, ledger)
        while not ledger.finished:
            link_slice(job.program_uuid, ledger)
    return SliceRun(counts=ledger.counts, settled=ledger.settled, finished_by=ledger.finished_by)


def finish(job_id: UUID, announce: Callable[[Errors], None]) -> Errors | None:
    """End a job whose slices are all finished; return its error dictionary, or None where some slice is not.

    Args:
        job_id: which job.
        announce: called with the error dictionary, once for a job however often this is called, under the job's lock.
            Whoever dies between announcing and committing leaves the announcement to be made again.
    """
    with transaction.atomic():
        job = LinkingJob.objects.select_for_update().get(pk=job_id)
        slices = job.slices.all()
        if any(part.finished is None for part in slices):
            return None
        errors, cut = error_dictionary(job)
        if job.announced is None:
            now = timezone.now()
            job.counts = _sum_counts(slices)
            job.errors_cut = cut
            job.state = LinkingJob.State.DONE
            job.finished = now
            announce(errors)
            job.announced = now
            job.save(update_fields=["counts", "errors_cut", "state", "finished", "announced"])
    return errors


def error_dictionary(job: LinkingJob) -> tuple[Errors, bool]:
    """Return a job's error dictionary in mapping order, and whether LINKING_MAX_RESULT_ERRORS cut it."""
    most = settings.LINKING_MAX_RESULT_ERRORS
    silent = [Outcome.PENDING, *SUCCESSES]
    rows = job.learners.exclude(outcome__in=silent).order_by("position").values_list("external_user_key", "message")
    errors = list(rows[: most + 1])
    return dict(errors[:most]), len(errors) > most


def progress(job_id: UUID) -> Progress | None:
    """Return how far a job is, None where there is no such job."""
    job = LinkingJob.objects.filter(pk=job_id).first()
    if job is None:
        return None
    return Progress(state=job.state, total=job.total, counts=_sum_counts(job.slices.all()))


def _sum_counts(slices: QuerySet[JobSlice]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for part in slices:
        counts.update(part.counts)
    return {outcome.value: counts[outcome] for outcome in Outcome if counts[outcome]}
