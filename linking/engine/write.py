"""Write what was decided: a fixed number of statements, whatever the slice holds."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import DatabaseError, connection, transaction

from linking import messages
from linking.engine.rules import Grant, Plan
from linking.engine.state import CourseEnrollment, ProgramCourseEnrollment, ProgramEnrollment, World
from linking.sql.errors import is_transient
from linking.sql.rowsets import execute, fetch, rowset


class StaleReadError(Exception):
    """Somebody inserted a course enrollment between our look and our insert; read again."""


def write_users(enrollments: Iterable[ProgramEnrollment], now: datetime) -> None:
    """Give program enrollments their users.

    Unique constraints are checked row by row: where one enrollment takes a user that another one gives up in the same
    slice, those that give up are emptied first.
    """
    changed = [row for row in enrollments if row.user_id != row.stored_user_id]
    taken = {row.user_id for row in changed if row.user_id is not None}
    _write_users([(row.id, None) for row in changed if row.stored_user_id in taken], now)
    _write_users([(row.id, row.user_id) for row in changed], now)
    for row in changed:
        row.stored_user_id = row.user_id


def _write_users(rows: list[tuple[int, int | None]], now: datetime) -> None:
    if not rows:
        return
    rows_sql, parameters = rowset(connection, "new", {"id": "bigint", "user_id": "bigint"}, rows)
    sql = f"""
        UPDATE program_enrollments_programenrollment AS pe SET user_id = new.user_id, modified = %s
        FROM {rows_sql} WHERE pe.id = new.id
    """
    execute(connection, sql, [connection.ops.adapt_datetimefield_value(now), *parameters])


def write_course_enrollments(world: World, now: datetime) -> list[CourseEnrollment]:
    """Insert and update course enrollments; return those that were written.

    Raises:
        StaleReadError: one to be inserted is there by now.
    """
    changed = [row for row in world.course_enrollments.values() if row.changed]
    # Two transactions that insert the same rows must not do so in opposite orders.
    new = sorted((row for row in changed if row.id is None), key=lambda row: (row.user_id, row.course_key))
    if new:
        _insert_course_enrollments(world, new, now)
    old = [(row.id, row.is_active, row.mode) for row in changed if row.stored is not None]
    if old:
        rows_sql, parameters = rowset(connection, "new", {"id": "bigint", "is_active": "boolean", "mode": "text"}, old)
        sql = f"""
            UPDATE student_courseenrollment AS ce SET is_active = new.is_active, mode = new.mode
            FROM {rows_sql} WHERE ce.id = new.id
        """
        execute(connection, sql, parameters)
    return changed


def _insert_course_enrollments(world: World, new: Sequence[CourseEnrollment], now: datetime) -> None:
    rows_sql, parameters = rowset(
        connection,
        "new",
        {"user_id": "bigint", "course_key": "text", "is_active": "boolean", "mode": "text"},
        [(row.user_id, row.course_key, row.is_active, row.mode) for row in new],
    )
    # WHERE true: without it SQLite takes ON for a join's.
    sql = f"""
        INSERT INTO student_courseenrollment (user_id, course_id, is_active, mode, created)
        SELECT user_id, course_key, is_active, mode, %s FROM {rows_sql} WHERE true
        ON CONFLICT DO NOTHING RETURNING id, user_id, course_id
    """
    inserted = fetch(connection, sql, [connection.ops.adapt_datetimefield_value(now), *parameters])
    if len(inserted) != len(new):
        raise StaleReadError
    for ce_id, user_id, course_key in inserted:
        row = world.course_enrollments[user_id, course_key]
        row.id, row.created = ce_id, now


def write_pointers(courses: Iterable[ProgramCourseEnrollment], now: datetime) -> None:
    """Point program course enrollments at their course enrollments."""
    rows = [
        (course.id, points_at)
        for course in courses
        if (points_at := course.points_at and course.points_at.id) != course.course_enrollment_id
    ]
    if not rows:
        return
    rows_sql, parameters = rowset(connection, "new", {"id": "bigint", "course_enrollment_id": "bigint"}, rows)
    sql = f"""
        UPDATE program_enrollments_programcourseenrollment AS pce
        SET course_enrollment_id = new.course_enrollment_id, modified = %s
        FROM {rows_sql} WHERE pce.id = new.id
    """
    execute(connection, sql, [connection.ops.adapt_datetimefield_value(now), *parameters])


def write_roles(plans: Sequence[Plan], *, one_by_one: bool) -> None:
    """Grant the roles that were assigned in advance, and delete the assignments.

    Args:
        plans: what was applied.
        one_by_one: each grant in a savepoint of its own; one that fails becomes a warning and keeps its assignment.
            Otherwise a failure fails the whole transaction.
    """
    if not one_by_one:
        _grant([grant for plan in plans for grant in plan.grants])
        return
    for plan in plans:
        for grant in list(plan.grants):
            try:
                with transaction.atomic():
                    _grant([grant])
            except DatabaseError as error:
                if is_transient(error):
                    raise
                plan.refuse_grant(grant, messages.describe(error))


def _grant(grants: Sequence[Grant]) -> None:
    if not grants:
        return
    new_sql, new = rowset(
        connection,
        "new",
        {"user_id": "bigint", "org": "text", "course_id": "text", "role": "text"},
        [(grant.user_id, grant.org, grant.course_key, grant.role) for grant in grants],
    )
    insert = f"""
        INSERT INTO student_courseaccessrole (user_id, org, course_id, role)
        SELECT user_id, org, course_id, role FROM {new_sql} WHERE true
        ON CONFLICT DO NOTHING
    """
    spent_sql, spent = rowset(connection, "spent", {"id": "bigint"}, [(grant.assignment_id,) for grant in grants])
    delete = f"DELETE FROM program_enrollments_courseaccessroleassignment WHERE id IN (SELECT id FROM {spent_sql})"
    execute(connection, insert, new)
    execute(connection, delete, spent)
