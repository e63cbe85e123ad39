"""The interface of a dialect: everything that differs between databases.

Methods with a body are standard SQL, or what most databases understand.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol

from django.db.backends.base.base import BaseDatabaseWrapper

Statement = tuple[str, list[Any]]
"""SQL, or a part of it, with its parameters."""
Columns = Mapping[str, str]
"""PostgreSQL's type by column name, in the order of the values of a row."""
Rows = Sequence[Sequence[Any]]
"""Values in the order of the columns; those of JSON (``jsonb``) columns are encoded text."""
BulkRows = Iterator[tuple[str | int, ...]]

BATCH = 1_000
"""Rows that a bulk insert sends together."""


class Dialect(Protocol):
    """The SQL of one database."""

    fold_function: str = "LOWER"
    """Folds an external user key as :func:`linking.keys.fold_key` does, also in an index."""
    row_lock: str = "FOR UPDATE"
    """Locks the rows that a SELECT reads."""
    value_lock: str = "FOR UPDATE"
    """Locks the rows that a SELECT reads against all but rows that point at them: their keys do not change."""
    skip_locked: str = "FOR UPDATE SKIP LOCKED"
    """Locks the values of the rows that a SELECT reads, and leaves out those that are locked already."""

    def is_contention(self, error: BaseException) -> bool:
        """Return whether the transaction lost against another one and may simply run again."""

    def is_lock_timeout(self, error: BaseException) -> bool:
        """Return whether a statement waited too long for a lock: contention after which to run again later."""

    def is_outage(self, error: BaseException) -> bool:
        """Return whether the database failed and not the statement: connection lost, server stopping, disk full."""

    def is_limit(self, error: BaseException) -> bool:
        """Return whether a limit ended the statement, such as a statement timeout or a full disk.

        Such an error may pass, as an outage does, or return whenever the statement runs.
        """

    def error_code(self, error: BaseException) -> str:
        """Return the database's code of an error, such as an SQLSTATE; empty if it has none."""

    def rowset(self, alias: str, columns: Columns, rows: Rows) -> Statement:
        """Return a FROM item that holds ``rows`` under the name ``alias``, and its parameters."""

    def hash(self, expression: str) -> str:
        """Return an expression for a 64-bit hash of a placeholder's text followed by ``expression``."""

    def is_in(self, column: str, subquery: str) -> str:
        """Return a condition that looks up each value of ``subquery`` in the index on ``column``."""
        return f"{column} IN ({subquery})"

    def bulk_insert(
        self, cursor: Any, table: str, constants: Mapping[str, Any], columns: Sequence[str], rows: BulkRows
    ) -> None:
        """Insert a stream of rows in bounded memory; ``constants`` are the same in each row."""
        names = [*constants, *columns]
        sql = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))})"
        start = tuple(constants.values())
        while batch := [start + row for row in islice(rows, BATCH)]:
            cursor.executemany(sql, batch)

    def advisory_lock(self, cursor: Any, key: int) -> None:
        """Wait until no other transaction holds ``key`` (63 bits), and hold it until the transaction ends."""
        return  # Where transactions that write run one after the other anyway.

    def prepare(self, connection: BaseDatabaseWrapper) -> None:
        """Prepare a connection that Django has just opened."""
        return
