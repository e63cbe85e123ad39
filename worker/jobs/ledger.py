"""The engine's access to the ledger: set-based, inside the engine's own transaction."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils import timezone

from linking.bulk import Learner, Outcome, Pointer, Result, pointers_of, stored, update_rows
from worker.models import JobSlice, LearnerOutcome, LinkingJob

CHUNK = 1_000
"""Most learners that one transaction claims: it bounds memory where many learners interfere and share a slice."""
CANCELLED_MESSAGE = "cancelled before it was linked"
NOT_UNDONE_MESSAGE = "cancelled before it was undone"


class SliceLedger:
    """The learners of one slice, under the lock of the slice's row.

    A second run of the same slice waits for the lock, and then finds that the learners have their outcomes.

    Args:
        job_id: the job.
        number: the slice's number in the job.
        until: time on the monotonic clock after which no learner is claimed; None: claim all learners at once.
        is_paused: the job is paused: the slice is not run.
    """

    def __init__(self, job_id: UUID, number: int, until: float | None = None, *, is_paused: bool = False) -> None:
        self._job_id = job_id
        self._number = number
        self._until = until
        self._slice = JobSlice()
        self.is_paused = is_paused
        self.only: Sequence[int] | None = None
        """Positions of the learners to claim, if not all."""
        self.processed = 0
        """Learners that were given their outcome here."""

    @property
    def counts(self) -> dict[str, int]:
        """The learners of the slice by outcome."""
        return dict(self._slice.counts)

    @property
    def finished(self) -> bool:
        """Whether all learners of the slice have an outcome."""
        return self._slice.finished is not None

    @property
    def in_time(self) -> bool:
        """Whether more learners may be claimed."""
        return self._until is None or time.monotonic() < self._until

    def lock(self) -> None:
        """Lock and read the slice."""
        slices = JobSlice.objects.select_related("job").select_for_update(of=("self",))
        if connection.features.has_select_for_update and not connection.features.has_select_for_update_of:
            slices = JobSlice.objects.select_for_update()  # The job is read by itself, or it would be locked, too.
        self._slice = slices.get(job_id=self._job_id, number=self._number)

    def close(self) -> None:
        """Lock the slice; if its job was cancelled or has failed, write the outcome of the open learners."""
        self.lock()
        job = self._slice.job
        if self.finished or job.state not in {LinkingJob.State.CANCELLED, LinkingJob.State.FAILED}:
            return
        outcome, message = Outcome.ERROR, f"JobFailedError: {job.message}"
        if job.state == LinkingJob.State.CANCELLED:
            outcome, message = Outcome.CANCELLED, NOT_UNDONE_MESSAGE if job.undoes_id else CANCELLED_MESSAGE
        self._write([Result(learner=learner, outcome=outcome, message=message) for learner in self._open(None)])

    def claim(self, positions: Sequence[int] | None) -> list[Learner]:
        """Lock the slice; return its open learners in the job's order: the next, or those at ``positions``."""
        if not self.in_time:
            return []
        self.close()
        return [] if self.finished else self._open(self.only if positions is None else positions)

    def record(self, results: Sequence[Result]) -> None:
        """Write outcomes, and with the last one the end of the slice."""
        self._write(results)

    def pointers(self) -> set[Pointer]:
        """Return the pointers of the open learners."""
        return _pointers(self._slice.pending.values_list("before", flat=True))

    def _open(self, positions: Sequence[int] | None) -> list[Learner]:
        learners = self._slice.pending
        if positions is not None:
            learners = learners.filter(position__in=positions)
        rows = learners.values_list("position", "external_user_key", "lms_username", "before", "warnings")
        return [
            Learner(
                position=position, external_user_key=key, lms_username=username, before=before, warnings=tuple(warnings)
            )
            for position, key, username, before, warnings in rows[: None if self._until is None else CHUNK]
        ]

    def _write(self, results: Sequence[Result]) -> None:
        if not results:
            return
        now = timezone.now()
        _write_outcomes(self._job_id, results, now)
        counts = Counter(self._slice.counts)
        counts.update(result.outcome.value for result in results)
        self._slice.counts = dict(counts)
        self._slice.attempts, self._slice.touched = 0, now
        if counts.total() == self._slice.total:
            self._slice.finished = now
        self._slice.save(update_fields=["counts", "attempts", "touched", "finished"])
        self.processed += len(results)


class RehearsalLedger(SliceLedger):
    """The learners of a slice in a dry run: outcomes are kept in memory until the engine has rolled back."""

    def __init__(self, job_id: UUID, number: int) -> None:
        super().__init__(job_id, number)
        self._results: list[Result] = []

    def claim(self, positions: Sequence[int] | None) -> list[Learner]:
        """Return open learners; for all of them the dry run begins, or begins anew."""
        if positions is None:
            self._results = []
        return super().claim(positions)

    def record(self, results: Sequence[Result]) -> None:
        """Keep outcomes in memory."""
        self._results += results

    def pointers(self) -> set[Pointer]:
        """Return the pointers of the open learners, except learners that this dry run would not undo."""
        kept = (result.learner.before for result in self._results if result.outcome != Outcome.UNDONE)
        return super().pointers() - _pointers(kept)

    def flush(self) -> None:
        """Write the outcomes of the learners that are still open."""
        results = self._results
        still_open = {learner.position for learner in self.claim(None)}
        self._write([result for result in results if result.learner.position in still_open])


def _pointers(changes: Iterable[dict[str, Any] | None]) -> set[Pointer]:
    return set().union(*map(pointers_of, changes))


def _write_outcomes(job_id: UUID, results: Sequence[Result], now: datetime) -> None:
    stored_id = stored(job_id)
    rows = [
        (
            stored_id,
            result.learner.position,
            result.outcome.value,
            result.message,
            json.dumps(result.warnings),
            json.dumps(result.before),
        )
        for result in results
    ]
    columns = {
        "job_id": "uuid",  # In each row, as in move_learners.
        "position": "bigint",
        "outcome": "text",
        "message": "text",
        "warnings": "jsonb",
        "before": "jsonb",
    }
    update_rows(
        LearnerOutcome._meta.db_table,  # noqa: SLF001 - the public way to a model's table
        columns,
        rows,
        key=("job_id", "position"),
        expressions={"attempts": "old.attempts + 1"},
        finished=now,
    )
