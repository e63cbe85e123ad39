"""PostgreSQL."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, ClassVar

from django.db import DatabaseError, OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from linking.sql.interface import BATCH, SERVER, BulkRows, Columns, Dialect, Rows, Statement

LOCK_TIMEOUT = "55P03"
"""SQLSTATE of a statement that waited for a lock longer than ``lock_timeout``."""
CONTENTION = frozenset({"40P01", "40001", LOCK_TIMEOUT})
"""SQLSTATE of a deadlock, a serialization failure, a lock timeout."""
CONNECTION_CHECK = 2_000
"""Milliseconds between the server's checks, while a statement runs or waits, that its client is still there."""
OUTAGE = ("08", "57", "53", "58", "25P03", "25P04")
"""How SQLSTATE begins: connection, operator intervention, resources, system error, transaction timed out.

The last two are the server's answer to a process that was frozen in the middle of a transaction.
"""
LIMIT = frozenset({"57014", "53100", "53200"})
"""SQLSTATE of a cancelled or timed-out statement, a full disk, exhausted memory."""
FEW = 5
"""Rows from which on COPY takes less time than INSERT."""
COPY_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


class PostgreSQL(Dialect):
    """PostgreSQL's arrays, COPY and advisory locks; its errors by SQLSTATE."""

    early_commit = "set_config('synchronous_commit', 'off', true) IS NOT NULL"  # For this transaction only.
    epoch = "EXTRACT(EPOCH FROM clock_timestamp())::double precision"
    value_lock = "FOR NO KEY UPDATE"
    skip_locked = "FOR NO KEY UPDATE SKIP LOCKED"
    probe_options: ClassVar[Mapping[str, Any]] = {"connect_timeout": 2}

    def settings(
        self, options: Mapping[str, Any], *, lock_timeout: int, idle_timeout: int, is_lms: bool
    ) -> dict[str, Any]:
        # Milliseconds: a worker that froze in the middle of a transaction must not hold its locks for ever.
        server = f"-c idle_in_transaction_session_timeout={idle_timeout * 1000}"
        # Milliseconds, advisory locks included: a table that is locked for minutes must not hold every worker.
        server += f" -c lock_timeout={lock_timeout * 1000}"
        # All lookups are by key, in an index that is in memory or on a solid-state disk. At the default of 4 the
        # planner would read a whole table for the thousand rows of a slice.
        server += " -c random_page_cost=1.1"
        return {**SERVER, "OPTIONS": {**options, "options": f"{options.get('options', '')} {server}".strip()}}

    def is_contention(self, error: BaseException) -> bool:
        return _sqlstate(error) in CONTENTION

    def is_lock_timeout(self, error: BaseException) -> bool:
        return _sqlstate(error) == LOCK_TIMEOUT

    def is_outage(self, error: BaseException) -> bool:
        # The client library's own errors have no SQLSTATE: could not connect, server closed the connection.
        state = _sqlstate(error)
        return state.startswith(OUTAGE) if state else isinstance(error, OperationalError)

    def is_limit(self, error: BaseException) -> bool:
        return _sqlstate(error) in LIMIT

    def is_denied(self, error: BaseException) -> bool:
        return self.error_code(error) == "42501"

    def error_code(self, error: BaseException) -> str:
        return _sqlstate(error)

    def rowset(self, alias: str, columns: Columns, rows: Rows) -> Statement:
        # One JSON text for a column of JSON: a thousand texts full of quotes would each have to be escaped.
        functions = ", ".join(
            "jsonb_array_elements(%s)" if kind == "jsonb" else f"unnest(%s::{kind}[])" for kind in columns.values()
        )
        values = zip(*rows, strict=True) if rows else ([] for _ in columns)
        arrays = [_array(kind, column) for kind, column in zip(columns.values(), values, strict=True)]
        return f"ROWS FROM ({functions}) AS {alias}({', '.join(columns)})", arrays

    def hash(self, expression: str) -> str:
        return f"hashtextextended(%s || CAST({expression} AS text), 0)"

    def is_in(self, column: str, subquery: str) -> str:
        # PostgreSQL could turn IN into a join that reads the whole table; it looks up an array's values.
        return f"{column} = ANY(ARRAY({subquery}))"

    def bulk_insert(
        self, cursor: Any, table: str, constants: Mapping[str, Any], columns: Sequence[str], rows: BulkRows
    ) -> None:
        first = list(islice(rows, FEW))
        if len(first) < FEW:  # COPY takes several messages.
            super().bulk_insert(cursor, table, constants, columns, iter(first))
            return
        # The lines of COPY are written here: the driver takes ten times as long, value by value.
        start = "".join(f"{_copied(value)}\t" for value in constants.values())
        with cursor.copy(f"COPY {table} ({', '.join([*constants, *columns])}) FROM STDIN") as copy:
            batch = first
            while batch:
                copy.write("".join([start + "\t".join(map(_copied, row)) + "\n" for row in batch]))
                batch = list(islice(rows, BATCH))

    def advisory_lock(self, cursor: Any, key: int) -> None:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [key])

    def indexes_of(self, tables: Collection[str]) -> Statement:
        names = ", ".join(["%s"] * len(tables))
        # An index with a condition keeps nothing unique but the rows that meet it.
        sql = f"""
            SELECT t.relname, i.relname, x.indisunique AND x.indpred IS NULL, a.attname
            FROM pg_index x
            JOIN pg_class t ON t.oid = x.indrelid
            JOIN pg_class i ON i.oid = x.indexrelid
            CROSS JOIN LATERAL unnest(x.indkey) WITH ORDINALITY AS k (number, place)
            LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.number
            WHERE t.relnamespace = {self.schema_name}::regnamespace AND t.relname IN ({names})
            ORDER BY t.relname, i.relname, k.place
        """
        return sql, list(tables)

    def prepare(self, connection: BaseDatabaseWrapper) -> None:
        # Else the session of a killed process would wait for its lock, and hold others. Not among the options of the
        # connection: some platforms refuse any value but 0, and would refuse the connection.
        with suppress(DatabaseError), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('client_connection_check_interval', %s, false)", [str(CONNECTION_CHECK)])


def _sqlstate(error: BaseException) -> str:
    return getattr(error.__cause__, "sqlstate", None) or ""


def _array(kind: str, values: Sequence[Any]) -> str:
    """Return the literal of an array, written in one go: the driver would write it value by value."""
    if kind == "jsonb":
        return f"[{','.join(values)}]"
    if kind != "text":
        return f"{{{','.join(['NULL' if value is None else str(value) for value in values])}}}"
    # PostgreSQL's texts hold no NUL: joined by it, they are searched for special characters all at once.
    joined = "\0".join(values)
    if "\\" in joined or '"' in joined:
        joined = joined.replace("\\", r"\\").replace('"', r"\"")
    joined = joined.replace("\0", '","')
    return f'{{"{joined}"}}' if values else "{}"


def _copied(value: object) -> str:
    text = str(value)
    return text.translate(COPY_ESCAPES) if "\\" in text or not text.isprintable() else text
