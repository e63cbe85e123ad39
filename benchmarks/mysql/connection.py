"""Connections to MySQL and MariaDB with the few methods of psycopg's that the benchmarks use."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import MySQLdb
from MySQLdb.cursors import Cursor

Parameters = Sequence[Any] | Mapping[str, Any] | None


class Connection:
    """A connection in autocommit mode; :meth:`transaction` groups statements.

    Args:
        url: address of the server, as in ``DATABASE_URL``.
        name: the database; empty for none.
    """

    def __init__(self, url: str, name: str = "") -> None:
        address = urlsplit(url)
        self._connection = MySQLdb.connect(
            host=address.hostname,
            port=address.port or 3306,
            user=address.username,
            password=address.password or "",
            database=name,
            charset="utf8mb4",
            autocommit=True,
        )
        # As Django's own connections: the isolation of an LMS, and texts in the collation of the database.
        self.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        self.execute("SET collation_connection = @@collation_database")

    def execute(self, statement: str, parameters: Parameters = None) -> Cursor:
        """Run a statement; return the cursor with its rows."""
        cursor: Cursor = self._connection.cursor()
        cursor.execute(statement, parameters)
        return cursor

    def begin(self) -> None:
        """Begin a transaction."""
        self._connection.begin()

    def commit(self) -> None:
        """Commit the transaction."""
        self._connection.commit()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._connection.close()
