"""Running one slice: attempts that are counted before they begin, and care where a slice keeps killing its worker."""

import time
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from linking.api import Outcome, Result, link_slice, rehearse_slice
from worker.ledger import LearnerLedger, RehearsalLedger, SliceLedger
from worker.models import JobSlice, LearnerOutcome, LinkingJob

ATTEMPTS = 3
"""How often a learner is tried that ends its worker each time."""
SECONDS = 20.0
"""How long one run works on a slice before it gives the rest back: far below every time limit."""
LOST_MESSAGE = f"WorkerLostError: the worker ended {ATTEMPTS} times while it linked this learner"


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceRun:
    """What running a slice came to.

    Attributes:
        counts: its learners by outcome.
        settled: how many of them this run settled.
        finished: whether all of them are done.
        finished_by: the task that wrote the last outcome.
        ends_job: whether no chord will notice that the job's last slice is finished.
    """

    counts: dict[str, int]
    settled: int
    finished: bool
    finished_by: str
    ends_job: bool


def run_slice(job_id: UUID, number: int, worked_by: str = "") -> SliceRun:
    """Link the open learners of a slice, for SECONDS at most.

    Args:
        job_id: which job.
        number: which of its slices.
        worked_by: the task id that works on it.

    Raises:
        DatabaseError: the database is out of reach; what is done stands, the rest stays open.
    """
    job, attempts, alone = _begin(job_id, number)
    dry_run = bool(job.options.get("dry_run"))
    ledger = SliceLedger(job_id, number, worked_by, until=None if dry_run else time.monotonic() + SECONDS)
    if attempts > ATTEMPTS and alone:
        _give_up(ledger, None)
    elif attempts >= ATTEMPTS and not alone and not dry_run:
        _link_with_care(job, ledger, number)
    elif dry_run:
        rehearsal = RehearsalLedger(ledger)
        rehearse_slice(job.program_uuid, rehearsal)
        with transaction.atomic():
            rehearsal.write_down()
    else:
        link_slice(job.program_uuid, ledger)
        while ledger.in_time and not ledger.finished:
            link_slice(job.program_uuid, ledger)
    return SliceRun(
        counts=ledger.counts,
        settled=ledger.settled,
        finished=ledger.finished,
        finished_by=ledger.finished_by,
        ends_job=ledger.ends_job(),
    )


def _begin(job_id: UUID, number: int) -> tuple[LinkingJob, int, bool]:
    """Count an attempt, committed before it begins: a kill cannot take it back.

    While somebody else has the slice in hand nothing is counted: waiting for a lock has killed nobody.

    Returns:
        The job, the attempts since the slice last made progress, and whether it holds a single learner.
    """
    skip = connection.features.has_select_for_update_skip_locked
    with transaction.atomic():
        free = JobSlice.objects.select_for_update(skip_locked=skip, of=("self",)).select_related("job")
        part = free.filter(job_id=job_id, number=number, finished=None).first()
        if part is None:
            return LinkingJob.objects.get(pk=job_id), 0, False
        part.attempts += 1
        part.touched = timezone.now()
        part.save(update_fields=["attempts", "touched"])
    return part.job, part.attempts, part.total == 1


def _link_with_care(job: LinkingJob, ledger: SliceLedger, number: int) -> None:
    """Link learner by learner, each counted before it begins: the one that ends its worker is known next time."""
    learners = LearnerOutcome.objects.filter(job=job, slice=number, outcome=Outcome.PENDING)
    for position in list(learners.order_by("position").values_list("position", flat=True)):
        if not ledger.in_time:
            return
        with transaction.atomic():
            learner = learners.select_for_update().filter(position=position).first()
            if learner is None:
                continue
            learner.attempts += 1
            learner.save(update_fields=["attempts"])
        if learner.attempts > ATTEMPTS:
            _give_up(ledger, position)
        else:
            link_slice(job.program_uuid, LearnerLedger(ledger, position))


def _give_up(ledger: SliceLedger, position: int | None) -> None:
    with transaction.atomic():
        learners = ledger.claim(None if position is None else [position])
        ledger.record([Result(learner=it, outcome=Outcome.ERROR, message=LOST_MESSAGE) for it in learners])
