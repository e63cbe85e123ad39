"""A list of plain rows as a table of one SQL statement, on PostgreSQL and on SQLite.

However many rows there are, they travel as a fixed number of parameters: that is what keeps the statements of a slice
constant, and below SQLite's limit on parameters.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper


def rowset(
    connection: BaseDatabaseWrapper, alias: str, columns: Mapping[str, str], rows: Sequence[Sequence[Any]]
) -> tuple[str, list[Any]]:
    """Return a FROM item and its parameters that hold ``rows`` under the name ``alias``.

    Args:
        connection: the database the statement is for.
        alias: name of the table within the statement.
        columns: PostgreSQL type by column name, in the order of the values of a row.
        rows: the values; JSON columns hold encoded text.
    """
    names = ", ".join(columns)
    if connection.vendor == "sqlite":
        picks = ", ".join(f"json_extract(value, '$[{place}]') AS {name}" for place, name in enumerate(columns))
        return f"(SELECT {picks} FROM json_each(%s)) AS {alias}", [json.dumps(rows)]
    arrays = ", ".join(f"%s::{kind}[]" for kind in columns.values())
    values = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in columns]
    return f"unnest({arrays}) AS {alias}({names})", values


def execute(connection: BaseDatabaseWrapper, sql: str, parameters: Sequence[Any]) -> None:
    """Run one statement that answers nothing."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def fetch(connection: BaseDatabaseWrapper, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Run one statement and return all its rows."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def row_lock(connection: BaseDatabaseWrapper) -> str:
    """Return the clause that locks the rows read; SQLite's transactions hold the whole database already."""
    return "FOR UPDATE" if connection.features.has_select_for_update else ""
