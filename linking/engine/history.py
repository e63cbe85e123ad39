"""The history of the LMS: rows about what linking changed, written in the transaction that changes it.

django-simple-history writes a row for each save. A slice writes one for each row that it changed, a full copy of the
row as it is at the end: states in between, such as that of a relink after the former user was removed, were never
committed.
"""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from django.utils import timezone

from linking.engine.lms_tables import (
    ALLOWED,
    COURSE_ENROLLMENT,
    PROGRAM_COURSE_ENROLLMENT,
    PROGRAM_ENROLLMENT,
    ROLE,
    ROLE_HISTORY,
    lms_tables,
)
from linking.engine.state import CourseEnrollment
from linking.sql import dialect
from linking.sql.statements import execute, insert_from, insert_rows, user_table

if TYPE_CHECKING:
    from linking.sql.interface import Columns

CREATED, CHANGED = "+", "~"
"""Types of history rows."""
REASON = "program-linking"
"""The reason of a change that no job made; a job's id follows that of a job."""

Role = tuple[int, str, str, str]
"""User id, organization, course key and role."""


def write_history(
    enrollments: Iterable[int],
    courses: Iterable[int],
    course_enrollments: Collection[CourseEnrollment],
    *,
    job_id: UUID | None,
) -> None:
    """Write history rows of what was changed. Beside an LMS, nothing that has history is deleted.

    Args:
        enrollments: ids of program enrollments.
        courses: ids of program course enrollments.
        course_enrollments: those that were inserted or updated.
        job_id: the job that makes the changes, if any.
    """
    _copy_rows(PROGRAM_ENROLLMENT, [(row_id, CHANGED) for row_id in enrollments], job_id)
    _copy_rows(PROGRAM_COURSE_ENROLLMENT, [(row_id, CHANGED) for row_id in courses], job_id)
    written = [(row.id or 0, CREATED if row.stored is None else CHANGED) for row in course_enrollments]
    _copy_rows(COURSE_ENROLLMENT, written, job_id)


def _copy_rows(table: str, rows: Collection[tuple[int, str]], job_id: UUID | None) -> None:
    history = lms_tables().histories.get(table)
    if history is None or not rows:
        return
    columns: Columns = {"id": "bigint", "history_type": "text"}
    values: list[tuple[object, ...]] = list(rows)
    if history.has_uuid:
        columns = {**columns, "history_id": "uuid"}
        values = [(*row, uuid4().hex) for row in rows]
    insert_from(
        history.name,
        table,
        columns,
        values,
        history.copied,
        history_date=timezone.now(),  # After the locks: a row that another changed before has an earlier one.
        history_change_reason=(f"{REASON} job {job_id}" if job_id else REASON)[: history.reason_length],
        history_user_id=None,
    )


def write_granted_roles(roles: Collection[Role]) -> None:
    """Write the history of roles that were granted."""
    if roles and lms_tables().has_role_history:
        columns = {"user_id": "bigint", "org": "text", "course_id": "text", "role": "text"}
        now = timezone.now()
        insert_rows(ROLE_HISTORY, columns, list(roles), action_type="created", created=now, modified=now)


def write_revoked_roles(ids: Collection[int]) -> None:
    """Write the history of roles that are about to be deleted."""
    if ids and lms_tables().has_role_history:
        copied = ("user_id", "org", "course_id", "role")
        rows, now = [(row_id,) for row_id in ids], timezone.now()
        insert_from(
            ROLE_HISTORY, ROLE, {"id": "bigint"}, rows, copied, action_type="deleted", created=now, modified=now
        )


def claim_allowed(course_enrollments: Iterable[CourseEnrollment]) -> None:
    """Give users that were enrolled the enrollments that their e-mail addresses were allowed, as the LMS does."""
    rows = [(row.id,) for row in course_enrollments if row.enrolled]
    if not rows or not lms_tables().has_allowed:
        return
    rows_sql, parameters = dialect().rowset("new", {"id": "bigint"}, rows)
    users, key, _ = user_table()
    join = dialect().lookup_join
    found = f"""
        {rows_sql} {join} {COURSE_ENROLLMENT} AS enrolled ON enrolled.id = new.id
        {join} {users} AS lms_user ON lms_user.{key} = enrolled.user_id
    """
    condition = "old.email = lms_user.email AND old.course_id = enrolled.course_id AND old.user_id IS NULL"
    execute(*dialect().update(ALLOWED, {"user_id": ("enrolled.user_id", [])}, (found, parameters), condition))
