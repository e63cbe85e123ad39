"""Statements over many rows at once, on Django's default connection.

However many rows there are, they travel as a fixed number of parameters. This keeps the number of statements of a slice
constant, and stays below SQLite's limit on parameters.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import connection

from linking.sql import dialect
from linking.sql.interface import Assignments, Columns, Rows, Statement

if TYPE_CHECKING:
    from django.db.models import Field


def execute(sql: str, parameters: Iterable[Any] = ()) -> None:
    """Run one statement that returns no rows. UUIDs and moments among the parameters are passed as stored."""
    with connection.cursor() as cursor:
        cursor.execute(sql, [stored(value) for value in parameters])


def fetch(sql: str, parameters: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
    """Run one statement as :func:`execute` does and return its rows."""
    with connection.cursor() as cursor:
        cursor.execute(sql, [stored(value) for value in parameters])
        return list(cursor.fetchall())


def stored(value: Any) -> Any:
    """Return a UUID or a moment as the database stores it, any other value as it is."""
    if isinstance(value, UUID):
        return value if connection.features.has_native_uuid_field else value.hex
    return connection.ops.adapt_datetimefield_value(value) if isinstance(value, datetime) else value


def aware(moment: datetime) -> datetime:
    """Return a moment from the database with its time zone; not every database returns one."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def is_one_of(column: str, values: Collection[Any], kind: str = "bigint") -> Statement:
    """Return a condition that looks up each of the values in the index on ``column``, and its parameters."""
    return dialect().is_one_of(column, kind, values)


def early_commit() -> str:
    """Return a true condition for a statement whose change may be lost when the database server crashes.

    The statement does not wait until its commit is on the disk, which takes longer than the statement. In a transaction
    the condition has no effect: the other changes there must not be lost.
    """
    return "true" if connection.in_atomic_block else dialect().early_commit


def quote(name: str) -> str:
    """Return the name of a table or column, quoted: some databases reserve it."""
    return connection.ops.quote_name(name)


def insert_rows(
    table: str, columns: Columns, rows: Rows, *, key: Sequence[str] = (), **constants: Any
) -> list[tuple[Any, ...]]:
    """Insert rows; with a ``key``, which is unique, return id and ``key`` of those inserted.

    Fewer are returned than given if some exist: the transaction must not be committed then. ``constants`` are columns
    with the same value in each row.
    """
    if not rows:
        return []
    given = {name: stored(value) for name, value in constants.items()}
    with connection.cursor() as cursor:
        return dialect().insert(cursor, table, columns, rows, constants=given, key=key)


def insert_from(
    table: str, source: str, columns: Columns, rows: Rows, copied: Collection[str], **constants: Any
) -> None:
    """Insert a row for each of ``rows``: its values, and the columns ``copied`` from the row of ``source`` with its id.

    The first of ``columns`` has the id; it is looked up, not inserted. ``constants`` are as in :func:`insert_rows`.
    """
    if not rows:
        return
    row_id, *others = map(quote, columns)
    names = ", ".join([*others, *map(quote, [*copied, *constants])])
    values = [*(f"new.{name}" for name in others), *(f"source.{quote(name)}" for name in copied)]
    select = f"({names}) SELECT {', '.join([*values, *['%s'] * len(constants)])}"
    rows_sql, parameters = dialect().rowset("new", columns, rows)
    found = f"{rows_sql} {dialect().lookup_join} {source} AS source ON source.id = new.{row_id}"
    execute(f"INSERT INTO {table} {select} FROM {found}", [*constants.values(), *parameters])


def insert_missing_rows(table: str, columns: Columns, rows: Rows) -> None:
    """Insert those rows that do not exist."""
    if rows:
        with connection.cursor() as cursor:
            dialect().insert_missing(cursor, table, columns, rows)


def update_rows(
    table: str,
    columns: Columns,
    rows: Rows,
    *,
    key: Sequence[str] = ("id",),
    expressions: Mapping[str, str] | None = None,
    **constants: Any,
) -> None:
    """Update the rows that the columns of ``key`` identify; JSON's null is stored as NULL.

    ``expressions`` are SQL for further columns, ``constants`` values for further columns, the same for all rows.
    """
    if not rows:
        return
    new = {name: f"new.{quote(name)}" for name in columns}
    assigned: dict[str, Statement] = {
        name: (f"NULLIF({new[name]}, 'null')" if kind == "jsonb" else new[name], [])
        for name, kind in columns.items()
        if name not in key
    }
    assigned |= {name: (expression, []) for name, expression in (expressions or {}).items()}
    assigned |= {name: ("%s", [value]) for name, value in constants.items()}
    condition = " AND ".join(f"old.{quote(name)} = {new[name]}" for name in key)
    execute(*dialect().update(table, assigned, dialect().rowset("new", columns, rows), condition))


def update_unlocked(table: str, assignments: Assignments, condition: Statement, returning: str) -> list[Any]:
    """Update the rows that meet a condition but those that are locked; return the new values of an assigned column."""
    changes = {name: (sql, [stored(value) for value in values]) for name, (sql, values) in assignments.items()}
    where = condition[0], [stored(value) for value in condition[1]]
    with connection.cursor() as cursor:
        return dialect().update_unlocked(cursor, table, changes, where, returning)


def delete_rows(table: str, ids: Collection[int]) -> None:
    """Delete the rows with the given ids."""
    if ids:
        condition, parameters = is_one_of("id", ids)
        execute(f"DELETE FROM {table} WHERE {condition}", parameters)


def bulk_insert(
    table: str, constants: Mapping[str, Any], columns: Sequence[str], rows: Iterable[tuple[str | int, ...]]
) -> None:
    """Insert a stream of rows in bounded memory; ``constants`` are further columns with the same value in each row."""
    fixed = {name: stored(value) for name, value in constants.items()}
    # COPY raises the driver's own errors when it ends.
    with connection.wrap_database_errors, connection.cursor() as cursor:
        dialect().bulk_insert(cursor, table, fixed, columns, iter(rows))


def advisory_lock(key: UUID | str) -> None:
    """Run the transactions that lock the same key one after the other.

    Args:
        key: a program, or a text that begins with what the lock is for.
    """
    digest = key.bytes if isinstance(key, UUID) else hashlib.sha256(key.encode()).digest()
    with connection.cursor() as cursor:
        dialect().advisory_lock(cursor, int.from_bytes(digest[:8]) >> 1)


def user_table() -> tuple[str, str, str]:
    """Return, quoted, the table of ``settings.AUTH_USER_MODEL``, its primary key and the column of the username."""
    model = get_user_model()
    meta = model._meta  # noqa: SLF001 - the public way to a model's columns
    name = cast("Field[Any, Any]", meta.get_field(model.USERNAME_FIELD))
    return quote(meta.db_table), quote(str(meta.pk.column)), quote(str(name.column))
