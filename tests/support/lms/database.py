"""Create, describe and empty the tables of an LMS."""

import re
from pathlib import Path
from typing import Any

from django.db import connection, transaction

SCHEMA = Path(__file__).with_name("schema.sql")
TABLES = tuple(re.findall(r"^CREATE TABLE `(\w+)`", SCHEMA.read_text(encoding="utf-8"), re.MULTILINE))
"""Names of the tables of the LMS, parents first."""
KEPT = {"django_migrations", "django_content_type", "auth_permission"}
"""Tables whose rows ``migrate`` wrote."""


def load_schema(cursor: Any) -> None:
    """Create the tables of the LMS in the database that a cursor has selected."""
    for statement in SCHEMA.read_text(encoding="utf-8").split(";\n"):
        if statement.strip():
            cursor.execute(statement)


def definitions(cursor: Any) -> dict[str, str]:
    """Return the DDL of each table of the LMS that exists, by its name; without the next value of the automatic key."""
    found = {}
    cursor.execute("SHOW TABLES")
    for table in {name for (name,) in cursor.fetchall()} & {*TABLES}:
        cursor.execute(f"SHOW CREATE TABLE {table}")
        found[table] = re.sub(r" AUTO_INCREMENT=\d+", "", cursor.fetchone()[1])
    return found


def clear_tables() -> None:
    """Delete the rows of the LMS's tables, as far as there are any."""
    tables = [table for table in TABLES if table not in KEPT]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(f"(SELECT '{table}' FROM {table} LIMIT 1)" for table in tables))  # noqa: S608 - our own names
        filled = {table for (table,) in cursor.fetchall()}
        with connection.constraint_checks_disabled(), transaction.atomic():
            for table in filled:
                cursor.execute(f"DELETE FROM {table}")  # noqa: S608 - as above
