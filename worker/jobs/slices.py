"""Running one slice: attempts that are counted before they begin, and care where a slice keeps killing its worker."""

import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import Error as DatabaseFault
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from linking.bulk import (
    Outcome,
    Result,
    UndoLedger,
    dialect,
    fetch,
    is_outage,
    link_slice,
    undo_slice,
)
from worker.jobs.ledger import LearnerLedger, RehearsalLedger, SliceLedger
from worker.models import JobSlice, LinkingJob

ATTEMPTS = 3
"""How often a learner is tried that ends its worker each time."""
SECONDS = 20.0
"""How long one run works on a slice before it gives the rest back: far below every time limit."""
AT_ONCE = timedelta(seconds=0.05)
"""Attempts that begin so closely are deliveries of one message at once: no worker dies and is replaced in less."""
OUTAGE_PAUSES = (0.1, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between looks whether a database that went away is back."""
LOST_MESSAGE = f"WorkerLostError: the worker ended {ATTEMPTS} times while it linked this learner"
LOST_UNDOING_MESSAGE = f"WorkerLostError: the worker ended {ATTEMPTS} times while it undid this learner"


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceRun:
    """What running a slice came to.

    Attributes:
        counts: its learners by outcome.
        settled: how many of them this run settled.
        finished: whether all of them are done.
    """

    counts: dict[str, int]
    settled: int
    finished: bool


def run_slice(job_id: UUID, number: int) -> SliceRun:
    """Link, or undo, the open learners of a slice, for SECONDS at most.

    Args:
        job_id: which job.
        number: which of its slices.

    Raises:
        DatabaseError: the database is out of reach; what is done stands, the rest stays open.
    """
    part, attempts = _begin(job_id, number)
    try:
        return _run(part, attempts)
    except DatabaseFault as error:
        if is_outage(error):
            _take_back_attempt(part)
        raise


def _run(part: JobSlice, attempts: int) -> SliceRun:
    job, alone = part.job, part.total == 1
    dry_run = job.dry_run
    ledger = SliceLedger(job.pk, part.number, until=None if dry_run else time.monotonic() + SECONDS)
    if attempts > ATTEMPTS and alone:
        _give_up(job, ledger, None)
    elif attempts >= ATTEMPTS and not alone and not dry_run:
        _link_with_care(part, ledger)
    elif dry_run:
        rehearsal = RehearsalLedger(ledger)
        _work(job, rehearsal, dry_run=True)
        with transaction.atomic():
            rehearsal.write_down()
    else:
        _work(job, ledger)
        while ledger.in_time and not ledger.finished:
            _work(job, ledger)
    return SliceRun(
        counts=ledger.counts,
        settled=ledger.settled,
        finished=ledger.finished,
    )


def _work(job: LinkingJob, ledger: UndoLedger, *, dry_run: bool = False) -> None:
    if job.undoes is None:
        link_slice(job.program_uuid, ledger, dry_run=dry_run)
    else:
        undo_slice(job.program_uuid, ledger, since=job.undoes.earliest_change, dry_run=dry_run)


def _begin(job_id: UUID, number: int) -> tuple[JobSlice, int]:
    """Count an attempt, committed before it begins: a kill cannot take it back.

    While somebody else has the slice in hand, or has begun it this very moment, nothing is counted: waiting for a lock
    has killed nobody.

    Returns:
        The slice, and the attempts since it last made progress.
    """
    table = JobSlice._meta.db_table  # noqa: SLF001 - the public way to a model's table
    sql = f"""
        UPDATE {table} SET touched = %s, started = COALESCE(started, %s),
            attempts = attempts + CASE WHEN attempts > 0 AND touched > %s THEN 0 ELSE 1 END
        WHERE id = (
            SELECT id FROM {table} WHERE job_id = %s AND number = %s AND finished IS NULL {dialect().skip_locked}
        ) RETURNING attempts
    """
    now = timezone.now()
    counted = fetch(sql, [now, now, now - AT_ONCE, job_id, number])
    part = JobSlice.objects.select_related("job").get(job_id=job_id, number=number)
    return part, counted[0][0] if counted else 0


def _take_back_attempt(part: JobSlice) -> None:
    """Count an attempt no longer that a database ended which was away: the worker is alive, the learners are innocent.

    Where the database stays away, the attempt stays counted.
    """
    for pause in OUTAGE_PAUSES:
        if connection.in_atomic_block:
            return  # Not ours to close; it is lost as a whole.
        time.sleep(pause)
        connection.close()
        with suppress(DatabaseFault):
            JobSlice.objects.filter(pk=part.pk, attempts__gt=0).update(attempts=F("attempts") - 1)
            return


def _link_with_care(part: JobSlice, ledger: SliceLedger) -> None:
    """Link learner by learner, each counted before it begins: the one that ends its worker is known next time."""
    for position in list(part.pending.values_list("position", flat=True)):
        if not ledger.in_time:
            return
        with transaction.atomic():
            learner = part.pending.select_for_update().filter(position=position).first()
            if learner is None:
                continue
            learner.attempts += 1
            learner.save(update_fields=["attempts"])
        if learner.attempts > ATTEMPTS:
            _give_up(part.job, ledger, position)
        else:
            _work(part.job, LearnerLedger(ledger, position))


def _give_up(job: LinkingJob, ledger: SliceLedger, position: int | None) -> None:
    message = LOST_MESSAGE if job.undoes is None else LOST_UNDOING_MESSAGE
    with transaction.atomic():
        learners = ledger.claim(None if position is None else [position])
        ledger.record([Result(learner=it, outcome=Outcome.ERROR, message=message) for it in learners])
