"""Database triggers that refuse to write certain rows: real failures inside a statement."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def failing_writes(
    table: str,
    column: str,
    value: int | str | None,
    *,
    text: str = "refused by a trigger",
    on: str = "INSERT OR UPDATE",
    error: str = "integrity_constraint_violation",
) -> Iterator[None]:
    """Let every write of a row with ``value`` in ``column`` fail in the context.

    Args:
        table: the table.
        column: one of its columns.
        value: the value of the column in the rows to refuse; None: any value but NULL.
        text: the beginning of the database's message.
        on: ``INSERT OR UPDATE`` or ``DELETE``.
        error: PostgreSQL's condition name of the error. SQLite always raises ``IntegrityError``; MySQL raises
            ``OperationalError`` for any other, and commits when a trigger is created or dropped.
    """
    row = "OLD" if on == "DELETE" else "NEW"
    test = "IS NOT NULL" if value is None else f"= {value}" if isinstance(value, int) else f"= '{value}'"
    if connection.vendor == "postgresql":
        create = [
            # A table with pending deferred constraints of this transaction can get no trigger.
            "SET CONSTRAINTS ALL IMMEDIATE",
            "SET CONSTRAINTS ALL DEFERRED",
            f"""
            CREATE FUNCTION refuse_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                RAISE EXCEPTION '{text}' USING ERRCODE = '{error}';
            END $$
            """,
            f"""
            CREATE TRIGGER refuse_row BEFORE {on} ON {table} FOR EACH ROW
            WHEN ({row}.{column} {test}) EXECUTE FUNCTION refuse_row()
            """,
        ]
        drop = [
            "SET CONSTRAINTS ALL IMMEDIATE",
            "SET CONSTRAINTS ALL DEFERRED",
            f"DROP TRIGGER refuse_row ON {table}",
            "DROP FUNCTION refuse_row",
        ]
    elif connection.vendor == "mysql":
        number = 1452 if error == "integrity_constraint_violation" else 1644
        create = [
            f"""
            CREATE TRIGGER refuse_row_{event} BEFORE {event} ON {table} FOR EACH ROW
            IF {row}.{column} {test} THEN
                SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{text}', MYSQL_ERRNO = {number};
            END IF
            """
            for event in on.split(" OR ")
        ]
        drop = [f"DROP TRIGGER refuse_row_{event}" for event in on.split(" OR ")]
    else:
        events = on.split(" OR ")
        create = [
            f"""
            CREATE TRIGGER refuse_row_{event} BEFORE {event} ON {table} FOR EACH ROW
            WHEN {row}.{column} {test} BEGIN SELECT RAISE(ABORT, '{text}'); END
            """
            for event in events
        ]
        drop = [f"DROP TRIGGER refuse_row_{event}" for event in events]
    _execute(create)
    try:
        yield
    finally:
        _execute(drop)


def refused_with(text: str) -> str:
    """Return the beginning of the message of a learner that a trigger refused with an ``IntegrityError``."""
    return f"IntegrityError: (1452, '{text}" if connection.vendor == "mysql" else f"IntegrityError: {text}"


def _execute(statements: list[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
