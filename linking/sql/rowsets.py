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
        rows: the values; JSON (``jsonb``) columns hold encoded text.
    """
    names = ", ".join(columns)
    if connection.vendor == "sqlite":
        picks = ", ".join(f"json_extract(value, '$[{place}]') AS {name}" for place, name in enumerate(columns))
        return f"(SELECT {picks} FROM json_each(%s)) AS {alias}", [json.dumps(rows)]
    # One JSON text for a column of JSON: a thousand texts full of quotes would each have to be escaped. The others as
    # array literals, written in one go: the driver would write them value by value.
    functions = ", ".join(
        "jsonb_array_elements(%s)" if kind == "jsonb" else f"unnest(%s::{kind}[])" for kind in columns.values()
    )
    values = zip(*rows, strict=True) if rows else ([] for _ in columns)
    texts = [_as_text(kind, column) for kind, column in zip(columns.values(), values, strict=True)]
    return f"ROWS FROM ({functions}) AS {alias}({names})", texts


def _as_text(kind: str, values: Sequence[Any]) -> str:
    if kind == "jsonb":
        return f"[{','.join(values)}]"
    if kind == "text":
        # NUL cannot be in a text of PostgreSQL's: what holds none after joining with it needs no second look.
        joined = "\0".join(values)
        if "\\" in joined or '"' in joined:
            joined = joined.replace("\\", r"\\").replace('"', r"\"")
        joined = joined.replace("\0", '","')
        return f'{{"{joined}"}}' if values else "{}"
    return f"{{{','.join('NULL' if value is None else str(value) for value in values)}}}"


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


def is_one_of(connection: BaseDatabaseWrapper, column: str, subquery: str) -> str:
    """Return a condition that looks the values of ``subquery`` up in the index on ``column``, one by one.

    PostgreSQL could turn IN into a join that reads the whole table; it looks an array's values up.
    """
    return f"{column} IN ({subquery})" if connection.vendor == "sqlite" else f"{column} = ANY(ARRAY({subquery}))"


def row_lock(connection: BaseDatabaseWrapper) -> str:
    """Return the clause that locks the rows read; SQLite's transactions hold the whole database already."""
    return "FOR UPDATE" if connection.features.has_select_for_update else ""
