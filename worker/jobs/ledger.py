"""The engine's access to the ledger: set-based, inside the engine's own transaction."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.utils import timezone

from linking.bulk import (
    Learner,
    Outcome,
    Pointer,
    Result,
    dialect,
    execute,
    fetch,
    is_one_of,
    pointers_of,
    stored,
    update_rows,
)
from worker.jobs.tables import JOBS, LEARNERS, SLICES
from worker.models import JobSlice, LinkingJob

CHUNK = 1_000
"""Most learners that one transaction claims: it bounds memory where many learners interfere and share a slice."""
CANCELLED_MESSAGE = "cancelled before it was linked"
NOT_UNDONE_MESSAGE = "cancelled before it was undone"


class SliceLedger:
    """The learners of one slice, under the lock of the slice's row.

    A second run of the same slice waits for the lock, and then finds that the learners have their outcomes. Its
    statements are SQL: the ORM takes longer to write them than the database to run them.

    Args:
        job: the job.
        number: the slice's number in the job.
        until: time on the monotonic clock after which no learner is claimed; None: claim all learners at once.
        is_paused: the job is paused: the slice is not run.
    """

    def __init__(self, job: LinkingJob, number: int, until: float | None = None, *, is_paused: bool = False) -> None:
        self._job = job
        self._number = number
        self._until = until
        self.is_paused = is_paused
        self._total = self._first = self._last = 0
        self.counts: dict[str, int] = {}
        """The learners of the slice by outcome."""
        self.finished = False
        """Whether all learners of the slice have an outcome."""
        self.only: Sequence[int] | None = None
        """Positions of the learners to claim, if not all."""
        self.most = CHUNK
        """Most learners to claim in one transaction, unless all are claimed at once."""
        self.processed = 0
        """Learners that were given their outcome here."""

    @property
    def open(self) -> int:
        """The number of learners that have no outcome."""
        return self._total - sum(self.counts.values())

    @property
    def is_only(self) -> bool:
        """Whether the job has no other slice, as far as this run has read it."""
        return self._total == self._job.total

    @property
    def in_time(self) -> bool:
        """Whether more learners may be claimed."""
        return self._until is None or time.monotonic() < self._until

    def lock(self) -> LinkingJob.State:
        """Lock and read the slice; return the state of its job.

        Raises:
            JobSlice.DoesNotExist: there is no such slice, or not any more.
        """
        sql = f"""
            SELECT total, first, last, counts, finished IS NOT NULL, (SELECT state FROM {JOBS} WHERE id = job_id)
            FROM {SLICES} WHERE job_id = %s AND number = %s {dialect().row_lock}
        """
        found = fetch(sql, [self._job.pk, self._number])
        if not found:
            raise JobSlice.DoesNotExist
        self._total, self._first, self._last, counts, finished, state = found[0]
        self.counts, self.finished = json.loads(counts), bool(finished)
        return LinkingJob.State(state)

    def close(self) -> None:
        """Lock the slice; if its job was cancelled or has failed, write the outcome of the open learners."""
        state = self.lock()
        if self.finished or state not in {LinkingJob.State.CANCELLED, LinkingJob.State.FAILED}:
            return
        if state == LinkingJob.State.CANCELLED:
            outcome, message = Outcome.CANCELLED, NOT_UNDONE_MESSAGE if self._job.undoes_id else CANCELLED_MESSAGE
        else:
            self._job.refresh_from_db(fields=["message"])
            outcome, message = Outcome.ERROR, f"JobFailedError: {self._job.message}"
        self._write([Result(learner=learner, outcome=outcome, message=message) for learner in self._open(None)])

    def claim(self, positions: Sequence[int] | None) -> list[Learner]:
        """Lock the slice; return its open learners in the job's order: the next, or those at ``positions``."""
        if not self.in_time:
            return []
        self.close()
        if self.finished:
            return []
        positions = self.only if positions is None else positions
        learners = self._open(positions)
        if positions is None and not learners:
            self._write_slice(is_finished=True)  # Its learners are not in the ledger any more.
        return learners

    def record(self, results: Sequence[Result]) -> None:
        """Write outcomes, and with the last one the end of the slice."""
        self._write(results)

    def pointers(self) -> set[Pointer]:
        """Return the pointers of the open learners."""
        return _pointers(learner.before for learner in self._open(None, limit=self._total))

    def _open(self, positions: Sequence[int] | None, limit: int | None = None) -> list[Learner]:
        condition, parameters = is_one_of("position", positions) if positions is not None else ("true", [])
        if self._until is None:
            limit = self._total
        sql = f"""
            SELECT position, external_user_key, lms_username, learner.before, warnings FROM {LEARNERS} learner
            WHERE job_id = %s AND position BETWEEN %s AND %s AND slice = %s AND outcome = %s AND {condition}
            ORDER BY position {"DESC" if self._job.undoes_id else ""} LIMIT %s
        """
        values = [
            self._job.pk,
            self._first,
            self._last,
            self._number,
            Outcome.PENDING.value,
            *parameters,
            limit or self.most,
        ]
        return [
            Learner(
                position=position,
                external_user_key=key,
                lms_username=username,
                before=before and json.loads(before),
                warnings=tuple(json.loads(warnings)),
            )
            for position, key, username, before, warnings in fetch(sql, values)
        ]

    def _write(self, results: Sequence[Result]) -> None:
        if not results:
            return
        _write_outcomes(self._job.pk, results)
        self.counts = dict(Counter(self.counts) + Counter(result.outcome.value for result in results))
        self._write_slice(is_finished=sum(self.counts.values()) == self._total)
        self.processed += len(results)

    def _write_slice(self, *, is_finished: bool) -> None:
        self.finished, now = is_finished, timezone.now()
        sql = f"""
            UPDATE {SLICES} SET counts = %s, attempts = 0, touched = %s, finished = %s WHERE job_id = %s AND number = %s
        """
        execute(sql, [json.dumps(self.counts), now, now if is_finished else None, self._job.pk, self._number])


class RehearsalLedger(SliceLedger):
    """The learners of a slice in a dry run: outcomes are kept in memory until the engine has rolled back."""

    def __init__(self, job: LinkingJob, number: int) -> None:
        super().__init__(job, number)
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


def _write_outcomes(job_id: UUID, results: Sequence[Result]) -> None:
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
        LEARNERS,
        columns,
        rows,
        key=("job_id", "position"),
        expressions={"attempts": "old.attempts + 1"},
        finished=timezone.now(),
    )
