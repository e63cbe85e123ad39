"""How the engine reads and writes the ledger: set-based, inside the engine's own transaction."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from linking.bulk import Learner, Outcome, Pointer, Result, pointers_of, stored_uuid, update_rows
from worker.models import JobSlice, LearnerOutcome, LinkingJob

CHUNK = 1_000
"""Learners that one transaction claims, at most: what bounds memory where many interfere and share a slice."""
CANCELLED_MESSAGE = "cancelled before it was linked"
NOT_UNDONE_MESSAGE = "cancelled before it was undone"


class SliceLedger:
    """The learners of one slice, under the lock of the slice's row.

    Whoever runs the same slice at the same time waits for the lock and then finds the learners done.

    Args:
        job_id: which job.
        number: which of its slices.
        until: when to claim no more, on the monotonic clock; None: never, and claim all learners at once.
    """

    def __init__(self, job_id: UUID, number: int, until: float | None = None) -> None:
        self._job_id = job_id
        self._number = number
        self._until = until
        self._slice = JobSlice()
        self.settled = 0

    @property
    def counts(self) -> dict[str, int]:
        """The learners of the slice by outcome, as far as they are done."""
        return dict(self._slice.counts)

    @property
    def finished(self) -> bool:
        """Whether all learners of the slice are done."""
        return self._slice.finished is not None

    @property
    def in_time(self) -> bool:
        """Whether more learners may be claimed."""
        return self._until is None or time.monotonic() < self._until

    def look(self) -> None:
        """Lock the slice and read how far it is; end what is open of a job that was cancelled or given up."""
        locked = JobSlice.objects.select_for_update(of=("self",)).select_related("job")
        self._slice = locked.get(job_id=self._job_id, number=self._number)
        if not self.finished and (ending := self._ending()):
            outcome, message = ending
            self.record([Result(learner=it, outcome=outcome, message=message) for it in self._open(None)])

    def _ending(self) -> tuple[Outcome, str] | None:
        """Return outcome and message of the learners that are still open in a job that has ended."""
        job = self._slice.job
        if job.state == LinkingJob.State.CANCELLED:
            return Outcome.CANCELLED, NOT_UNDONE_MESSAGE if job.undoes_id else CANCELLED_MESSAGE
        if job.state == LinkingJob.State.FAILED:
            return Outcome.ERROR, f"JobFailedError: {job.message}"
        return None

    def claim(self, positions: Sequence[int] | None) -> list[Learner]:
        """Lock the slice; return its open learners in the job's order: the next, or those at ``positions``."""
        if not self.in_time:
            return []
        self.look()
        return [] if self.finished else self._open(positions)

    def _open(self, positions: Sequence[int] | None) -> list[Learner]:
        learners = self._slice.pending
        if positions is not None:
            learners = learners.filter(position__in=positions)
        rows = learners.values_list("position", "external_user_key", "lms_username", "before")
        return [
            Learner(position=position, external_user_key=key, lms_username=username, before=before)
            for position, key, username, before in rows[: None if self._until is None else CHUNK]
        ]

    def pointers(self) -> set[Pointer]:
        """Return the pointers of learners that are open."""
        return _pointers(self._slice.pending.values_list("before", flat=True))

    def record(self, results: Sequence[Result]) -> None:
        """Write outcomes, and with the last one the end of the slice."""
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
        self.settled += len(results)


class LearnerLedger:
    """A single learner of a slice."""

    def __init__(self, ledger: SliceLedger, position: int) -> None:
        self._ledger = ledger
        self._position = position

    def claim(self, _: Sequence[int] | None) -> list[Learner]:
        """Lock the slice; return the learner if it is open."""
        return self._ledger.claim([self._position])

    def record(self, results: Sequence[Result]) -> None:
        """Write the learner's outcome."""
        self._ledger.record(results)

    def pointers(self) -> set[Pointer]:
        """Return those of the slice."""
        return self._ledger.pointers()


class RehearsalLedger:
    """A slice's ledger for a dry run: outcomes are kept aside while the engine's transaction is taken back."""

    def __init__(self, ledger: SliceLedger) -> None:
        self._ledger = ledger
        self._results: list[Result] = []

    def claim(self, positions: Sequence[int] | None) -> list[Learner]:
        """Lock the slice and return its open learners."""
        return self._ledger.claim(positions)

    def record(self, results: Sequence[Result]) -> None:
        """Keep outcomes aside."""
        self._results += results

    def pointers(self) -> set[Pointer]:
        """Return those of the slice, but for learners that this dry run has left as they are."""
        left = (result.learner.before for result in self._results if result.outcome != Outcome.UNDONE)
        return self._ledger.pointers() - _pointers(left)

    def write_down(self) -> None:
        """Write what would happen to those learners that are still open."""
        still_open = {learner.position for learner in self._ledger.claim(None)}
        self._ledger.record([result for result in self._results if result.learner.position in still_open])


def _pointers(changes: Iterable[dict[str, Any] | None]) -> set[Pointer]:
    return set().union(*map(pointers_of, changes))


def _write_outcomes(job_id: UUID, results: Sequence[Result], now: datetime) -> None:
    stored_id = stored_uuid(job_id)
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
