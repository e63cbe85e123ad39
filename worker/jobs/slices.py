"""Running one slice: attempts are counted before they begin, and learners isolated where a slice kills its workers."""

import time
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import Error as DatabaseFault
from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from linking.bulk import Outcome, Result, early_commit, is_outage, is_transient, link_slice, undo_slice, update_unlocked
from worker.jobs import rate
from worker.jobs.ledger import RehearsalLedger, SliceLedger
from worker.jobs.tables import JOBS, SLICES
from worker.models import JobSlice, LearnerOutcome, LinkingJob, Pause
from worker.models.pauses import is_paused

PAUSES = Pause._meta.db_table  # noqa: SLF001 - the public way to a model's table
NOT_PAUSED = f"""
    NOT EXISTS (
        SELECT 1 FROM {PAUSES} pause WHERE pause.kind = '{Pause.Kind.EVERYTHING}'
        OR (pause.kind = '{Pause.Kind.JOB}' AND pause.target = {SLICES}.job_id)
        OR (pause.kind = '{Pause.Kind.PROGRAM}'
            AND pause.target = (SELECT program_uuid FROM {JOBS} job WHERE job.id = {SLICES}.job_id))
    )
"""
"""The condition that a slice's job is not paused; :func:`is_paused` is the same for Django."""
ATTEMPTS = 3
"""Attempts before a learner that kills its worker is given up."""
SECONDS = 20.0
"""Seconds after which a run leaves the rest of its slice to the next: far below every time limit."""
SECONDS_OF_LIMITED = 0.2
"""The same where there is a maximum rate: processes that wait for it must not keep small jobs waiting for them."""
SIMULTANEOUS = timedelta(seconds=0.05)
"""Attempts that begin within this time count as one: duplicate deliveries, since no worker is replaced that fast."""
OUTAGE_PAUSES = (0.1, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between attempts to reach a database after an outage."""
LOST_MESSAGE = f"WorkerLostError: the worker ended {ATTEMPTS} times while it linked this learner"
LOST_UNDOING_MESSAGE = f"WorkerLostError: the worker ended {ATTEMPTS} times while it undid this learner"


def run_slice(job_id: UUID, number: int) -> SliceLedger:
    """Link, or undo, the open learners of a slice, for SECONDS at most; return the slice as the run left it.

    The slice of a paused job is left as it is, and so is one that would exceed the maximum rate now.

    Raises:
        DatabaseError: a database outage, or contention; committed outcomes stand, the rest stays open.
    """
    taken: int | None = None
    if rate.is_limited():
        part = JobSlice.objects.select_related("job").get(job_id=job_id, number=number)
        taken = _take_first(part)
        if taken == 0:
            return SliceLedger(part.job, number)
    attempts = _count_attempt(job_id, number)
    try:
        job = LinkingJob.objects.get(pk=job_id)
        return SliceLedger(job, number, is_paused=True) if attempts is None else _run(job, number, attempts, taken)
    except DatabaseFault as error:
        if attempts:
            _uncount_attempt(JobSlice.objects.filter(job_id=job_id, number=number), error)
        raise


def _take_first(part: JobSlice) -> int | None:
    """Take the learners of the first transaction of a run out of the bucket; return how many, None where none is left.

    A dry run of a slice is one transaction. A run that must wait leaves a sign of life, and counts as no attempt.
    """
    left = part.total - sum(part.counts.values())
    if not left or LinkingJob.objects.filter(is_paused(), pk=part.job_id).exists():
        return None
    taken = left * rate.take_all(part.job, left) if part.job.dry_run else rate.take(part.job, left)
    if not taken:
        JobSlice.objects.filter(pk=part.pk).update(touched=timezone.now())
    return taken


def _run(job: LinkingJob, number: int, attempts: int, taken: int | None) -> SliceLedger:
    seconds = SECONDS if taken is None else SECONDS_OF_LIMITED
    ledger = SliceLedger(job, number, until=None if job.dry_run else time.monotonic() + seconds)
    suspect = JobSlice.objects.get(job=job, number=number) if attempts >= ATTEMPTS else None
    if suspect and suspect.total == 1 and attempts > ATTEMPTS:
        _give_up(job, ledger)
    elif job.dry_run:
        ledger = RehearsalLedger(job, number)
        _process(job, ledger)
        with transaction.atomic():
            ledger.flush()
    elif suspect and suspect.total > 1:
        _process_isolated(suspect, ledger)
    else:
        _process_in_steps(job, ledger, taken)
    return ledger


def _process_in_steps(job: LinkingJob, ledger: SliceLedger, taken: int | None) -> None:
    """Process the open learners of a slice, transaction by transaction, within the maximum rate.

    Args:
        job: the job.
        ledger: the slice.
        taken: learners that the first transaction may process; None: no maximum rate.
    """
    while True:
        ledger.most = ledger.most if taken is None else taken
        _process(job, ledger)
        if ledger.finished or not ledger.in_time:
            return
        if taken is not None and not (taken := rate.take(job, max(ledger.open, 1))):
            return


def _process(job: LinkingJob, ledger: SliceLedger) -> None:
    if job.undoes is None:
        link_slice(job.program_uuid, ledger, job_id=job.pk, dry_run=job.dry_run)
    else:
        undo_slice(job.program_uuid, ledger, since=job.undoes.earliest_change, job_id=job.pk, dry_run=job.dry_run)


def _count_attempt(job_id: UUID, number: int) -> int | None:
    """Count an attempt and commit before it begins, so that a kill does not undo the count.

    Do not count an attempt at a slice that is locked or was just begun: it only waits for the other run's lock. Nor one
    at a slice whose job is paused, which is not begun.

    Returns:
        The attempts since the slice last made progress, 0 if none was counted; None if its job is paused.
    """
    now = timezone.now()
    assignments = {
        # Before touched: MySQL assigns from left to right.
        "attempts": ("attempts + CASE WHEN attempts > 0 AND touched > %s THEN 0 ELSE 1 END", [now - SIMULTANEOUS]),
        "touched": ("%s", [now]),
        "started": ("COALESCE(started, %s)", [now]),
    }
    # If the count is lost, because the database server crashed, the slice is tried once more.
    condition = f"job_id = %s AND number = %s AND finished IS NULL AND {NOT_PAUSED} AND {early_commit()}"
    counted = update_unlocked(SLICES, assignments, (condition, [job_id, number]), "attempts")
    if counted:
        return int(counted[0])
    paused = LinkingJob.objects.open().filter(is_paused(), pk=job_id)
    return None if paused.exists() else 0


def _uncount_attempt(counted: QuerySet[Any], error: DatabaseFault) -> None:
    """Do not count an attempt that contention or an outage ended; it stays counted if an outage outlasts its pauses."""
    if not is_transient(error):
        return
    for pause in OUTAGE_PAUSES if is_outage(error) else (None,):
        if connection.in_atomic_block:
            return  # The caller's transaction is lost, and with it the count.
        if pause is not None:
            time.sleep(pause)
            connection.close()
        with suppress(DatabaseFault):
            counted.filter(attempts__gt=0).update(attempts=F("attempts") - 1)
            return


def _process_isolated(part: JobSlice, ledger: SliceLedger) -> None:
    """Process one learner at a time; count each attempt before it begins, to identify the one that kills its worker."""
    for place, position in enumerate(list(part.pending.values_list("position", flat=True))):
        if not ledger.in_time or (place and rate.is_limited() and not rate.take(part.job, 1)):
            return
        with transaction.atomic():
            learner = part.pending.select_for_update().filter(position=position).first()
            if learner is None:
                continue
            learner.attempts += 1
            learner.save(update_fields=["attempts"])
        ledger.only = [position]
        if learner.attempts > ATTEMPTS:
            _give_up(part.job, ledger)
            continue
        try:
            _process(part.job, ledger)
        except DatabaseFault as error:
            _uncount_attempt(LearnerOutcome.objects.filter(pk=learner.pk), error)
            raise


def _give_up(job: LinkingJob, ledger: SliceLedger) -> None:
    message = LOST_MESSAGE if job.undoes is None else LOST_UNDOING_MESSAGE
    with transaction.atomic():
        learners = ledger.claim(None)
        ledger.record([Result(learner=learner, outcome=Outcome.ERROR, message=message) for learner in learners])
