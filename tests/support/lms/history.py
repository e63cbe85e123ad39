"""The rows of an LMS and their history, and what must hold between them."""

from typing import Any

from django.db import connection

from linking.engine.lms_tables import ALLOWED, COURSE_ENROLLMENT, HISTORY_OF, ROLE_HISTORY

Row = dict[str, Any]
RowsById = dict[str, dict[int, Row]]
"""Rows by id, by the name of their table."""


def select(sql: str, *parameters: Any) -> list[Row]:
    """Return rows as dictionaries by column."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def rows_with_history() -> RowsById:
    """Return the rows of each table that has a history."""
    return {table: {row["id"]: row for row in select(f"SELECT * FROM {table}")} for table in HISTORY_OF}  # noqa: S608 - our own names


def history(table: str) -> list[Row]:
    """Return the history of a table, the oldest row first."""
    return select(f"SELECT * FROM {HISTORY_OF[table]} ORDER BY history_date, history_id")  # noqa: S608 - as above


def role_history() -> list[Row]:
    """Return the history of roles, the oldest row first."""
    return select(f"SELECT * FROM {ROLE_HISTORY} ORDER BY id")  # noqa: S608 - as above


def allowed() -> set[tuple[str, str, int | None]]:
    """Return (email, course, user id) of each enrollment that is allowed by e-mail."""
    return {(row["email"], row["course_id"], row["user_id"]) for row in select(f"SELECT * FROM {ALLOWED}")}  # noqa: S608 - as above


def allow(email: str, course_key: str, user_id: int | None = None) -> None:
    """Allow the owner of an e-mail address to enroll in a course run."""
    columns, now = "email, course_id, auto_enroll, created, user_id", "CURRENT_TIMESTAMP"
    sql = f"INSERT INTO {ALLOWED} ({columns}) VALUES (%s, %s, false, {now}, %s)"  # noqa: S608 - as above
    with connection.cursor() as cursor:
        cursor.execute(sql, [email, course_key, user_id])


def assert_history_is_complete(before: RowsById) -> None:
    """Check that each row that changed has history, and that the last history row of each row is a copy of it."""
    for table, rows in rows_with_history().items():
        last = {row["id"]: row for row in history(table)}
        former = before[table]
        changed = {row_id for row_id in rows.keys() | former.keys() if rows.get(row_id) != former.get(row_id)}
        assert changed <= last.keys(), table
        for row_id, copy in last.items():
            assert (copy["history_type"] == "-") == (row_id not in rows), (table, copy)
            if row_id in rows:
                assert {name: copy[name] for name in rows[row_id]} == rows[row_id], table


def last_states(before: RowsById) -> dict[str, set[tuple[Any, ...]]]:
    """Return the last history row of each row that changed, without what differs from run to run.

    That is: ids of new rows, times, and what changed nothing but the time of the last save.
    """
    now, states = rows_with_history(), {}
    pairs = {
        row_id: (row["user_id"], row["course_id"])
        for rows in (before, now)
        for row_id, row in rows[COURSE_ENROLLMENT].items()
    }

    def plain(table: str, row: Row) -> tuple[Any, ...]:
        row = {name: value for name, value in row.items() if name in now_columns[table]}
        if "course_enrollment_id" in row:
            row["course_enrollment_id"] = pairs.get(row["course_enrollment_id"])
        return tuple(value for name, value in row.items() if (table, name) != (COURSE_ENROLLMENT, "id"))

    now_columns = {
        table: {name for row in rows.values() for name in row} - {"created", "modified"} for table, rows in now.items()
    }
    for table, rows in now.items():
        last = {row["id"]: row for row in history(table)}
        former = before[table]
        changed = {
            row_id
            for row_id, row in rows.items()
            if row_id not in former or plain(table, row) != plain(table, former[row_id])
        }
        states[table] = {plain(table, {name: last[row_id][name] for name in rows[row_id]}) for row_id in changed}
    return states
