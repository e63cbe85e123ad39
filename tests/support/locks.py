"""Locks in PostgreSQL that block workers."""

from collections.abc import Callable

import psycopg

from tests.support.waiting import wait_until


class Lock:
    """A lock that the statement ``sql`` takes, held until it is released."""

    def __init__(self, database_url: str, sql: str) -> None:
        self._connection = psycopg.connect(database_url)
        self._connection.execute(sql)

    def wait_for_blocked(self, count: int) -> None:
        """Wait until ``count`` connections are blocked, by this lock or by one that a blocked connection holds."""
        blocked = "SELECT COUNT(*) FROM pg_locks WHERE NOT granted"
        wait_until(lambda: self._connection.execute(blocked).fetchone() == (count,), f"{count} workers are blocked")

    def release(self) -> None:
        """End the transaction that holds the lock."""
        self._connection.close()


TakeLock = Callable[[str], Lock]
"""The type of the fixtures ``lock`` and ``row_lock``."""
