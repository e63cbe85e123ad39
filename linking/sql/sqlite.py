"""SQLite."""

import json
import sqlite3
from collections.abc import Collection, Mapping
from hashlib import sha256
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from linking.keys import fold_key
from linking.sql.interface import Columns, Dialect, Rows, Statement

CONTENTION = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
OUTAGE = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL})

LIMIT = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_TOOBIG})


class SQLite(Dialect):
    """SQLite's JSON and our folding function. A transaction locks the whole database: there are no finer locks."""

    row_lock = value_lock = skip_locked = ""
    epoch = "((julianday('now') - 2440587.5) * 86400.0)"

    def settings(
        self, options: Mapping[str, Any], *, lock_timeout: int, idle_timeout: int, is_lms: bool
    ) -> dict[str, Any]:
        # Take the write lock when a transaction begins: one that reads first and writes later could not wait for
        # another writer, it would fail ("database is locked") whatever the timeout (seconds).
        return {"OPTIONS": {**options, "transaction_mode": "IMMEDIATE", "timeout": 60}}

    def columns_of(self, tables: Collection[str]) -> Statement:
        names = ", ".join(["%s"] * len(tables))
        sql = f"""
            SELECT t.name, c.name, c.type, NULL FROM sqlite_master t JOIN pragma_table_info(t.name) c
            WHERE t.name IN ({names})
        """
        return sql, list(tables)

    def fold(self, expression: str) -> str:
        return f"LINKING_FOLD({expression})"  # SQLite's LOWER knows ASCII only.

    def is_contention(self, error: BaseException) -> bool:
        return _code(error) in CONTENTION

    def is_lock_timeout(self, error: BaseException) -> bool:
        # Not an extended code of it, such as that of a snapshot that is too old.
        return getattr(error.__cause__, "sqlite_errorcode", 0) == sqlite3.SQLITE_BUSY

    def is_outage(self, error: BaseException) -> bool:
        return _code(error) in OUTAGE

    def is_limit(self, error: BaseException) -> bool:
        return _code(error) in LIMIT

    def is_denied(self, error: BaseException) -> bool:
        return False

    def error_code(self, error: BaseException) -> str:
        return str(getattr(error.__cause__, "sqlite_errorname", ""))

    def rowset(self, alias: str, columns: Columns, rows: Rows) -> Statement:
        picks = ", ".join(f"json_extract(value, '$[{place}]') AS {name}" for place, name in enumerate(columns))
        return f"(SELECT {picks} FROM json_each(%s)) AS {alias}", [json.dumps(rows)]

    def hash(self, expression: str) -> str:
        return f"LINKING_HASH(%s || {expression})"

    def prepare(self, connection: BaseDatabaseWrapper) -> None:
        database: sqlite3.Connection = connection.connection
        # Only a deterministic function may stand in an index.
        database.create_function("LINKING_FOLD", 1, lambda key: key and fold_key(key), deterministic=True)
        database.create_function("LINKING_HASH", 1, _hash, deterministic=True)


def _hash(text: str | None) -> int | None:
    """Return 64 bits of a digest as a signed integer."""
    return None if text is None else int.from_bytes(sha256(text.encode()).digest()[:8], signed=True)


def _code(error: BaseException) -> int:
    """Return the primary error code, which an extended one holds in its lowest byte; 0 where there is none."""
    code: int = getattr(error.__cause__, "sqlite_errorcode", 0)
    return code & 0xFF
