"""Database triggers that refuse to write certain rows: real failures inside a statement."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def failing_writes(
    table: str, column: str, value: int | str, *, text: str = "refused by a trigger", on: str = "INSERT OR UPDATE"
) -> Iterator[None]:
    """Let every write of a row whose ``column`` is ``value`` fail with ``IntegrityError: {text}`` while inside.

    Args:
        table: the table.
        column: one of its columns.
        value: what the column holds in the rows to refuse.
        text: how the database's message begins.
        on: ``INSERT OR UPDATE`` or ``DELETE``.
    """
    row = "OLD" if on == "DELETE" else "NEW"
    literal = str(value) if isinstance(value, int) else f"'{value}'"
    if connection.vendor == "postgresql":
        create = [
            # Rows written by this very transaction may wait for their constraints; no trigger can be made before.
            "SET CONSTRAINTS ALL IMMEDIATE",
            "SET CONSTRAINTS ALL DEFERRED",
            f"""
            CREATE FUNCTION refuse_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                RAISE EXCEPTION '{text}' USING ERRCODE = 'integrity_constraint_violation';
            END $$
            """,
            f"""
            CREATE TRIGGER refuse_row BEFORE {on} ON {table} FOR EACH ROW
            WHEN ({row}.{column} = {literal}) EXECUTE FUNCTION refuse_row()
            """,
        ]
        drop = [
            "SET CONSTRAINTS ALL IMMEDIATE",
            "SET CONSTRAINTS ALL DEFERRED",
            f"DROP TRIGGER refuse_row ON {table}",
            "DROP FUNCTION refuse_row",
        ]
    else:
        events = on.split(" OR ")
        create = [
            f"""
            CREATE TRIGGER refuse_row_{event} BEFORE {event} ON {table} FOR EACH ROW
            WHEN {row}.{column} = {literal} BEGIN SELECT RAISE(ABORT, '{text}'); END
            """
            for event in events
        ]
        drop = [f"DROP TRIGGER refuse_row_{event}" for event in events]
    _execute(create)
    try:
        yield
    finally:
        _execute(drop)


def _execute(statements: list[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
