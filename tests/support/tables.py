"""Every row of linking with ids and timestamps, for runs that must leave no trace."""

from typing import Any

from django.db import connection

TABLES = (
    "auth_user",
    "course_overviews_courseoverview",
    "course_modes_coursemode",
    "student_courseenrollment",
    "student_courseaccessrole",
    "program_enrollments_programenrollment",
    "program_enrollments_programcourseenrollment",
    "program_enrollments_courseaccessroleassignment",
)

Rows = dict[str, list[dict[str, Any]]]
"""The rows of each table by the table's name, each as a value for each column."""


def every_row(*, but: str = "") -> Rows:
    """Return each row of linking, without the column ``but``."""
    rows: Rows = {}
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"SELECT * FROM {table} ORDER BY 1")  # noqa: S608 - our own names
            columns = [column.name if hasattr(column, "name") else column[0] for column in cursor.description]
            rows[table] = [
                {name: value for name, value in zip(columns, row, strict=True) if name != but}
                for row in cursor.fetchall()
            ]
    return rows
