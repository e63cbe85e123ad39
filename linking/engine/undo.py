"""Undo a slice: restore the rows that linking its learners changed, where nothing has changed them since.

As in :mod:`linking.engine.batch`, a slice is read, decided and written in one transaction with a constant number of
statements, and halved where the transaction fails. Locks are taken in the same order.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import partial
from typing import Protocol
from uuid import UUID

from django.utils import timezone

from linking import messages
from linking.engine import batch, history, load, write
from linking.engine.change import Pointer, RecordedChange
from linking.engine.lms_tables import is_beside_lms
from linking.engine.restore import UndoState, restore
from linking.outcomes import Learner, Outcome, Result
from linking.sql import dialect
from linking.sql.statements import delete_rows, fetch, insert_rows, is_one_of, stored, update_rows


class UndoLedger(batch.Ledger, Protocol):
    """The source of the learners to undo: each with its ``before``, the last linked first."""

    def pointers(self) -> set[Pointer]:
        """Return the pointers of those learners of the slice that are open: pointers that this job undoes."""


def undo_slice(
    program_uuid: UUID, ledger: UndoLedger, *, since: datetime, job_id: UUID | None = None, dry_run: bool = False
) -> None:
    """Undo all learners that ``ledger`` has open; the LMS's history names the job ``job_id``.

    ``since`` is when the linking began. A program enrollment that points at one of its course enrollments since relies
    on it; one that did so before does not. A dry run rolls all back, see :func:`linking.engine.batch.link_slice`.

    Raises:
        DatabaseError: an outage. Recorded learners stay undone, the rest is untouched.
    """
    batch.run_step(partial(_undo, program_uuid, ledger, since, job_id), ledger, dry_run=dry_run)


def _undo(
    program_uuid: UUID, ledger: UndoLedger, since: datetime, job_id: UUID | None, learners: list[Learner]
) -> batch.Processed:
    known = [learner for learner in learners if learner.before is not None]
    changes = [RecordedChange.from_json(learner.before or {}) for learner in known]
    state = _load(program_uuid, changes, since)
    for change in changes:
        state.foreign -= change.pointers
    if state.foreign:
        state.foreign -= ledger.pointers()
    results = [restore(state, learner, change) for learner, change in zip(known, changes, strict=True)]
    results += [
        Result(learner=learner, outcome=Outcome.CHANGED_SINCE, message=messages.CHANGE_FORGOTTEN)
        for learner in learners
        if learner.before is None
    ]
    _write(state, timezone.now(), job_id)
    return results, []


def _load(program_uuid: UUID, changes: Sequence[RecordedChange], since: datetime) -> UndoState:
    """Read, and lock, everything that undoing ``changes`` depends on."""
    state = UndoState(keeps_created=is_beside_lms())  # Rows of an LMS refer to course enrollments.
    enrollments = load.read_enrollments_by_id({change.enrollment_id for change in changes})
    state.enrollments_by_id = enrollments
    realized = load.read_program_course_enrollments(enrollments)
    ids = {course.course_enrollment_id or 0 for course in realized}
    for change in changes:
        ids.update(row_id for row_id, *_ in change.course_enrollments)
        ids.update(row_id for _, row_id in change.pointers)
    state.rows = load.read_course_enrollments(state, ids, [], lock=dialect().row_lock)
    for course in realized:
        course.points_at = state.rows.get(course.course_enrollment_id or 0)
    former = {user_id for change in changes if (user_id := change.former_user_id) is not None}
    present = {row.user_id for row in enrollments.values() if row.user_id is not None}
    load.read_users(state, [], former | present)
    load.read_holders(state, program_uuid, former)
    _read_pointers(state, ids, since)
    course_keys = {course.course_key for row in enrollments.values() for course in row.courses}
    granted = [change.user_id for change in changes if any(grant.new for grant in change.grants)]
    load.read_roles(state, dict.fromkeys(granted, course_keys))
    if state.keeps_created:
        created = {row_id for change in changes for row_id, before, _ in change.course_enrollments if before is None}
        keys = {row.course_key for row_id, row in state.rows.items() if row_id in created}
        load.read_course_runs(state, keys, timezone.now())
    return state


def _read_pointers(state: UndoState, ids: Collection[int], since: datetime) -> None:
    """Read which program course enrollments point at course enrollments, and which of these were written since."""
    condition, parameters = is_one_of("course_enrollment_id", ids)
    sql = f"""
        SELECT course_enrollment_id, id, modified > %s FROM program_enrollments_programcourseenrollment
        WHERE {condition}
    """
    for row_id, course_id, is_new in fetch(sql, [since, *parameters]):
        state.pointing[row_id].add(course_id)
        if is_new:
            state.written.add((course_id, row_id))
    state.foreign = set(state.written)


def _write(state: UndoState, now: datetime, job_id: UUID | None) -> None:
    """Write the rows that were restored in memory, their history, and the events of their transitions."""
    enrollments = state.enrollments_by_id.values()
    write.write_users(enrollments, now)
    update_rows(
        "program_enrollments_programcourseenrollment",
        {"id": "bigint", "course_enrollment_id": "bigint", "modified": "timestamptz"},
        [(course.id, course.before, stored(course.modified)) for course in state.moved.values()],
    )
    changed = write.write_course_enrollments(state, now)
    history.write_history([row.id for row in enrollments if row.is_written], state.moved, changed, job_id=job_id)
    history.write_revoked_roles(state.revoked)  # A copy: before its row is deleted.
    delete_rows("student_courseenrollment", [row.id or 0 for row in state.deleted])
    delete_rows("student_courseaccessrole", state.revoked)
    insert_rows(  # Role assignments get back the ids that they had.
        "program_enrollments_courseaccessroleassignment",
        {"id": "bigint", "enrollment_id": "bigint", "role": "text", "created": "timestamptz"},
        [(grant.assignment_id, grant.course_id, grant.role, stored(grant.assigned)) for grant in state.assigned],
        modified=now,
    )
    write.write_events(state.transitions, now)
