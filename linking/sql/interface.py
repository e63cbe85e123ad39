"""The interface of a dialect: everything that differs between databases.

Methods with a body are standard SQL, or SQL that PostgreSQL and SQLite share.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar, Protocol

from django.db.backends.base.base import BaseDatabaseWrapper

Statement = tuple[str, list[Any]]
"""SQL, or a part of it, with its parameters."""
Assignments = Mapping[str, Statement]
"""The new values of columns: expressions, with their parameters."""
Columns = Mapping[str, str]
"""PostgreSQL's type by column name, in the order of the values of a row."""
Rows = Sequence[Sequence[Any]]
"""Values in the order of the columns; those of JSON (``jsonb``) columns are encoded text."""
BulkRows = Iterator[tuple[str | int, ...]]

BATCH = 1_000
"""Rows that a bulk insert sends together."""
SERVER: Mapping[str, Any] = {"CONN_MAX_AGE": 600, "CONN_HEALTH_CHECKS": True}
"""Settings of a database on a server: the seconds for which a worker keeps its connection.

It is checked before use, so that no task fails after a server restart.
"""


class Dialect(Protocol):
    """The SQL of one database."""

    indexes_folded_keys: bool = True
    """Whether an index has folded keys; if not, the index on keys finds those that its collation takes for equal."""
    probe_options: ClassVar[Mapping[str, Any]] = {}
    """Options of a connection for health checks: time limits in seconds."""
    row_lock: str = "FOR UPDATE"
    """Locks the rows that a SELECT reads."""
    value_lock: str = "FOR UPDATE"
    """Locks the rows that a SELECT reads against all but rows that point at them: their keys do not change."""
    select_each: str = "SELECT"
    """Begins a SELECT that looks up each of many values, whatever the statistics say about them."""
    skip_locked: str = "FOR UPDATE SKIP LOCKED"
    """Locks the values of the rows that a SELECT reads, and leaves out those that are locked already."""
    lookup_join: str = "JOIN"
    """Joins a rowset and a table, which is looked up by its index for each row of the rowset."""
    schema_name: str = "current_schema()"
    """An expression for the schema of the tables in ``information_schema``."""
    filled_column: str = "c.column_default IS NOT NULL OR c.is_identity = 'YES' OR c.is_generated = 'ALWAYS'"
    """A condition on ``information_schema.columns c``: a row that is inserted without the column gets a value."""
    table_engine: str = "NULL"
    """An expression for the storage engine of ``information_schema.tables t``; NULL: all have transactions."""
    database_collation: str = "NULL"
    """An expression for the collation that columns must have to be compared with our texts; NULL: any."""

    early_commit: str = "true"
    """A true condition. A statement with it, outside of a transaction, returns before its change is on the disk."""
    epoch: str
    """The present time of the server, not that of the transaction, in seconds since 1970."""

    # --- Connections and errors ---------------------------------------------------------------------------------------

    def settings(
        self, options: Mapping[str, Any], *, lock_timeout: int, idle_timeout: int, is_lms: bool
    ) -> dict[str, Any]:
        """Return Django's settings of a database, but for its address.

        Args:
            options: ``OPTIONS`` from the address.
            lock_timeout: seconds that a statement waits for a lock.
            idle_timeout: seconds after which the server ends a transaction in which its client does nothing.
            is_lms: whether the database is that of an LMS.
        """

    def schema(self, exact: Sequence[tuple[str, str, str, str]]) -> list[str]:
        """Return statements that complete the tables of the models, run by a migration.

        Args:
            exact: columns in which two texts that differ in case only are two texts: table, column, type and
                ``NULL`` or ``NOT NULL``.
        """
        return []

    def columns_of(self, tables: Collection[str]) -> Statement:
        """Return a SELECT of the columns of those of ``tables`` that exist.

        Table, column, type, length of a text, digits of a second's fraction, whether it may be NULL, whether a value
        is filled in where a row is inserted without, collation, and the table's storage engine.
        """
        names = ", ".join(["%s"] * len(tables))
        sql = f"""
            SELECT c.table_name, c.column_name, c.data_type, c.character_maximum_length, c.datetime_precision,
                   c.is_nullable = 'YES', {self.filled_column}, c.collation_name, {self.table_engine}
            FROM information_schema.columns c
            JOIN information_schema.tables t ON t.table_schema = c.table_schema AND t.table_name = c.table_name
            WHERE c.table_schema = {self.schema_name} AND c.table_name IN ({names})
            ORDER BY c.table_name, c.ordinal_position
        """
        return sql, list(tables)

    def indexes_of(self, tables: Collection[str]) -> Statement:
        """Return a SELECT of the columns of the indexes of ``tables``, in order: table, index, whether unique, column.

        The column of an expression is NULL.
        """
        names = ", ".join(["%s"] * len(tables))
        sql = f"""
            SELECT table_name, index_name, non_unique = 0, column_name FROM information_schema.statistics
            WHERE table_schema = {self.schema_name} AND table_name IN ({names})
            ORDER BY table_name, index_name, seq_in_index
        """
        return sql, list(tables)

    def prepare(self, connection: BaseDatabaseWrapper) -> None:
        """Prepare a connection that Django has just opened."""
        return

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

    def is_denied(self, error: BaseException) -> bool:
        """Return whether the database's user lacks a privilege for the statement."""

    def error_code(self, error: BaseException) -> str:
        """Return the database's code of an error, such as an SQLSTATE; empty if it has none."""

    def advisory_lock(self, cursor: Any, key: int) -> None:
        """Wait until no other transaction holds ``key`` (63 bits), and hold it until the transaction ends."""
        return  # Where transactions that write run one after the other anyway.

    # --- Expressions and conditions -----------------------------------------------------------------------------------

    def fold(self, expression: str) -> str:
        """Return an expression that folds a key as :func:`linking.keys.fold_key` does, also in an index."""
        return f"LOWER({expression})"

    def spellings(self, key: str) -> set[str]:
        """Return the spellings of a key that find it in the index on keys, whatever its case."""
        return {key}

    def hash(self, expression: str) -> str:
        """Return an expression for a 64-bit hash of a placeholder's text followed by ``expression``."""

    def same_key(self, column: str, other: str) -> str:
        """Return a condition that looks up a key without regard to case in the index on keys."""
        return f"{self.fold(column)} = {self.fold(other)}"

    def same_text(self, column: str, other: str) -> str:
        """Return a condition that looks up a text in the index on ``column`` with regard to case, accents, spaces."""
        return f"{column} = {other}"

    def filtered(self, column: str) -> str:
        """Return an expression for a column by which rows are filtered once they are found, not looked up."""
        return column

    def is_in(self, column: str, subquery: str) -> str:
        """Return a condition that looks up each value of ``subquery`` in the index on ``column``."""
        return f"{column} IN ({subquery})"

    def is_one_of(self, column: str, kind: str, values: Collection[Any]) -> Statement:
        """Return a condition that looks up each of the values in the index on ``column``, and its parameters.

        Rows with another text that the column's collation takes for equal may meet it.
        """
        rows_sql, parameters = self.rowset("wanted", {"value": kind}, [(value,) for value in values])
        return self.is_in(column, f"SELECT wanted.value FROM {rows_sql}"), parameters

    def key_is_one_of(self, column: str, keys: Collection[str]) -> Statement:
        """Return a condition that looks up keys without regard to case in the index on keys, and its parameters.

        Rows with another key that the column's collation takes for equal may meet it.
        """
        rows_sql, parameters = self.rowset("wanted", {"external_key": "text"}, [(key,) for key in keys])
        # The database folds both sides, so that a key matches itself under any collation.
        return f"{self.fold(column)} IN (SELECT {self.fold('external_key')} FROM {rows_sql})", parameters

    def quote(self, name: str) -> str:
        """Return the name of a column, quoted: some databases reserve it."""
        return f'"{name}"'

    # --- Statements over many rows ------------------------------------------------------------------------------------

    def rowset(self, alias: str, columns: Columns, rows: Rows) -> Statement:
        """Return a FROM item that holds ``rows`` under the name ``alias``, and its parameters."""

    def select_locked(self, table: str, columns: str, condition: str, lock: str) -> str:
        """Return a SELECT of the rows that meet ``condition``; it locks them in the order of their ids."""
        return f"SELECT {columns} FROM {table} WHERE {condition} ORDER BY id {lock}"

    def insert(
        self,
        cursor: Any,
        table: str,
        columns: Columns,
        rows: Rows,
        *,
        constants: Mapping[str, Any],
        key: Sequence[str],
    ) -> list[Any]:
        """Insert rows; with a ``key``, which is unique, return its values and the id of those that were inserted.

        Fewer are returned than there are rows if some of them exist; some databases then insert none.

        Args:
            cursor: a cursor.
            table: the table.
            columns: columns of the rows.
            rows: the rows.
            constants: further columns, with the same value in each row.
            key: columns that are unique together.
        """
        sql, parameters = self.select_new(columns, rows, constants)
        # WHERE true: without it SQLite takes ON for a join's.
        sql = f"INSERT INTO {table} {sql} WHERE true"
        if key:
            sql += f" ON CONFLICT DO NOTHING RETURNING {', '.join(['id', *key])}"
        cursor.execute(sql, parameters)
        return list(cursor.fetchall()) if key else []

    def insert_missing(self, cursor: Any, table: str, columns: Columns, rows: Rows) -> None:
        """Insert those rows that do not exist; for the arguments see :meth:`insert`."""
        sql, parameters = self.select_new(columns, rows, {})
        cursor.execute(f"INSERT INTO {table} {sql} WHERE true ON CONFLICT DO NOTHING", parameters)

    def select_new(self, columns: Columns, rows: Rows, constants: Mapping[str, Any]) -> Statement:
        """Return ``(columns) SELECT … FROM …`` for an INSERT of rows, and its parameters."""
        names = ", ".join(map(self.quote, [*columns, *constants]))
        values = ", ".join([*(f"new.{self.quote(name)}" for name in columns), *["%s"] * len(constants)])
        rows_sql, parameters = self.rowset("new", columns, rows)
        return f"({names}) SELECT {values} FROM {rows_sql}", [*constants.values(), *parameters]

    def update(self, table: str, assignments: Assignments, rows: Statement, condition: str) -> Statement:
        """Return an UPDATE of rows ``old`` by those of the rowset ``new``.

        Args:
            table: the table.
            assignments: expressions, by column.
            rows: the rowset ``new``.
            condition: which row of ``old`` a row of ``new`` is for.
        """
        changes, values = self.assigned(assignments)
        return f"UPDATE {table} AS old SET {changes} FROM {rows[0]} WHERE {condition}", [*values, *rows[1]]

    def assigned(self, assignments: Assignments) -> Statement:
        """Return what follows SET in an UPDATE, and its parameters."""
        changes = ", ".join(f"{self.quote(name)} = {sql}" for name, (sql, _) in assignments.items())
        return changes, [value for _, parameters in assignments.values() for value in parameters]

    def update_unlocked(
        self, cursor: Any, table: str, assignments: Assignments, condition: Statement, returning: str
    ) -> list[Any]:
        """Update the rows that meet ``condition`` but those that are locked; return the new values of a column.

        The column is one of those that are assigned. MySQL assigns in the order of ``assignments``, and an expression
        sees the new values of the columns before its own.
        """
        changes, values = self.assigned(assignments)
        sql = f"""
            UPDATE {table} SET {changes} WHERE id = (
                SELECT id FROM {table} WHERE {condition[0]} {self.skip_locked}
            ) RETURNING {returning}
        """
        cursor.execute(sql, [*values, *condition[1]])
        return [value for (value,) in cursor.fetchall()]

    def bulk_insert(
        self, cursor: Any, table: str, constants: Mapping[str, Any], columns: Sequence[str], rows: BulkRows
    ) -> None:
        """Insert a stream of rows in bounded memory; ``constants`` are the same in each row."""
        names = [*constants, *columns]
        sql = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))})"
        start = tuple(constants.values())
        while batch := [start + row for row in islice(rows, BATCH)]:
            cursor.executemany(sql, batch)
