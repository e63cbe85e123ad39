"""Undoing a slice: what linking its learners changed is given back, where nothing has changed it since.

As in :mod:`linking.engine.batch`, a slice is read, decided and written in one transaction with constant statements, and
halved where the transaction fails, until the learner at fault stands alone. Locks are taken in the same order.
"""

import logging
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Protocol
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from linking.engine import batch, load, write
from linking.engine.restore import Before, Pointer, Scene, take_back
from linking.engine.state import CourseEnrollment, ProgramEnrollment, World
from linking.outcomes import Learner
from linking.sql.rowsets import execute, fetch, is_one_of, row_lock, rowset

learners_log = logging.getLogger("linking.learners")


class UndoLedger(batch.Ledger, Protocol):
    """Where the learners come from that are to be taken back: each with its ``before``, the last linked first."""

    def pointers(self) -> set[Pointer]:
        """Return the pointers of those learners of the slice that are open: theirs to give back."""


def undo_slice(program_uuid: UUID, ledger: UndoLedger, *, since: datetime) -> None:
    """Take back all learners that ``ledger`` has open.

    Args:
        program_uuid: the program that the learners were linked in.
        ledger: the learners, and where their outcomes go.
        since: when the linking began. A program enrollment that points at one of its course enrollments since relies
            on it; one that did so before does not.

    Raises:
        DatabaseError: the database is out of reach or stopping. What is recorded by then stands, the rest is untouched.
    """
    batch.settle(partial(_undo_together, program_uuid, ledger, since), ledger)


def rehearse_undo(program_uuid: UUID, ledger: UndoLedger, *, since: datetime) -> None:
    """Do what :func:`undo_slice` does and take it back: ``ledger`` has the outcomes, no row and no signal is left."""
    batch.rehearse(partial(_undo_together, program_uuid, ledger, since), ledger)


def _undo_together(
    program_uuid: UUID, ledger: UndoLedger, since: datetime, positions: Sequence[int] | None, learners: list[Learner]
) -> list[int]:
    now = timezone.now()
    with transaction.atomic():
        learners[:] = ledger.claim(positions)
        if not learners:
            return []
        changes = [Before.of(learner) for learner in learners]
        scene = _read(program_uuid, changes, since)
        for change in changes:
            scene.foreign -= change.pointers
        if scene.foreign:
            scene.foreign -= ledger.pointers()
        results = [take_back(scene, learner) for learner in learners]
        changed = _write(scene, now)
        ledger.record(results)
        batch.announce_on_commit(changed)
    for result in results:
        if result.message:
            learners_log.warning(result.message)
    return []


def _read(program_uuid: UUID, changes: Sequence[Before], since: datetime) -> Scene:
    """Read, and lock, everything that taking ``changes`` back depends on."""
    world = World()
    enrollments = _read_enrollments({change.enrollment for change in changes})
    load.read_program_course_enrollments(enrollments)
    courses = [course for enrollment in enrollments.values() for course in enrollment.courses]
    wanted = {course.course_enrollment_id for course in courses}
    for change in changes:
        wanted.update(ce_id for ce_id, *_ in change.course_enrollments)
        wanted.update(ce_id for _, was, now, _ in change.courses for ce_id in (was, now))
    ids = [ce_id for ce_id in wanted if ce_id is not None]
    rows = load.read_course_enrollments(world, ids, [])
    for course in courses:
        course.points_at = rows.get(course.course_enrollment_id or 0)
    former = {user_id for change in changes if (user_id := change.user[0]) is not None}
    present = {row.user_id for row in enrollments.values() if row.user_id is not None}
    load.read_users(world, [], former | present)
    load.read_holders(world, program_uuid, former)
    pointing, written = _read_pointers(ids, since)
    granted = {change.user[1] for change in changes if any(role.granted for role in change.roles)}
    return Scene(
        world=world,
        enrollments=enrollments,
        rows=rows,
        roles=_read_roles(granted),
        pointing=pointing,
        written=written,
        foreign=set(written),
    )


def _read_enrollments(ids: Collection[int]) -> dict[int, ProgramEnrollment]:
    rows_sql, rows = rowset(connection, "wanted", {"id": "bigint"}, [(pe_id,) for pe_id in ids])
    sql = f"""
        SELECT id, user_id, external_user_key, curriculum_uuid FROM program_enrollments_programenrollment
        WHERE {is_one_of(connection, "id", f"SELECT id FROM {rows_sql}")} ORDER BY id {row_lock(connection)}
    """
    return {
        pe_id: ProgramEnrollment(
            id=pe_id, external_user_key=key, curriculum_uuid=curriculum, user_id=user_id, stored_user_id=user_id
        )
        for pe_id, user_id, key, curriculum in fetch(connection, sql, rows)
    }


def _read_pointers(ids: Collection[int], since: datetime) -> tuple[dict[int, set[int]], set[Pointer]]:
    rows_sql, rows = rowset(connection, "wanted", {"id": "bigint"}, [(ce_id,) for ce_id in ids])
    sql = f"""
        SELECT course_enrollment_id, id, modified > %s FROM program_enrollments_programcourseenrollment
        WHERE {is_one_of(connection, "course_enrollment_id", f"SELECT id FROM {rows_sql}")}
    """
    pointing: dict[int, set[int]] = {}
    written = set()
    for ce_id, course_id, is_new in fetch(connection, sql, [_moment(since), *rows]):
        pointing.setdefault(ce_id, set()).add(course_id)
        if is_new:
            written.add((course_id, ce_id))
    return pointing, written


def _read_roles(user_ids: Collection[int]) -> dict[tuple[int, str, str, str], int]:
    if not user_ids:
        return {}
    rows_sql, rows = rowset(connection, "wanted", {"id": "bigint"}, [(user_id,) for user_id in user_ids])
    sql = f"""
        SELECT user_id, course_id, org, role, id FROM student_courseaccessrole
        WHERE {is_one_of(connection, "user_id", f"SELECT id FROM {rows_sql}")}
    """
    return {
        (user_id, course_key, org, role): role_id
        for user_id, course_key, org, role, role_id in fetch(connection, sql, rows)
    }


def _write(scene: Scene, now: datetime) -> list[CourseEnrollment]:
    """Write what was taken back; return the course enrollments that changed, those that are deleted as inactive."""
    write.write_users(scene.enrollments.values(), now)
    _write_pointers(scene)
    changed = write.write_course_enrollments(scene.world, now)
    _delete("student_courseenrollment", (row.id or 0 for row in scene.deleted))
    _delete("student_courseaccessrole", scene.revoked)
    _assign(scene, now)
    return changed + scene.deleted


def _write_pointers(scene: Scene) -> None:
    rows = [(course_id, ce_id, _moment(written)) for course_id, (ce_id, written) in scene.moved.items()]
    if not rows:
        return
    columns = {"id": "bigint", "course_enrollment_id": "bigint", "modified": "timestamptz"}
    rows_sql, parameters = rowset(connection, "old", columns, rows)
    sql = f"""
        UPDATE program_enrollments_programcourseenrollment AS pce
        SET course_enrollment_id = old.course_enrollment_id, modified = old.modified
        FROM {rows_sql} WHERE pce.id = old.id
    """
    execute(connection, sql, parameters)


def _delete(table: str, ids: Iterable[int]) -> None:
    rows = [(row_id,) for row_id in ids]
    if rows:
        rows_sql, parameters = rowset(connection, "gone", {"id": "bigint"}, rows)
        condition = is_one_of(connection, "id", f"SELECT id FROM {rows_sql}")
        execute(connection, f"DELETE FROM {table} WHERE {condition}", parameters)


def _assign(scene: Scene, now: datetime) -> None:
    """Put role assignments back, under the ids that they had."""
    if not scene.assigned:
        return
    columns = {"id": "bigint", "enrollment_id": "bigint", "role": "text", "created": "timestamptz"}
    rows = [(*row, _moment(assigned)) for *row, assigned in scene.assigned]
    rows_sql, parameters = rowset(connection, "new", columns, rows)
    sql = f"""
        INSERT INTO program_enrollments_courseaccessroleassignment (id, enrollment_id, role, created, modified)
        SELECT id, enrollment_id, role, created, %s FROM {rows_sql}
    """
    execute(connection, sql, [_moment(now), *parameters])


def _moment(value: datetime) -> object:
    """Return a moment as the database stores it."""
    return connection.ops.adapt_datetimefield_value(value)
