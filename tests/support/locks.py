"""Locks in the database that block workers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connection, connections

from tests.support.waiting import wait_until

BLOCKED = {
    "postgresql": "SELECT COUNT(*) FROM pg_locks WHERE NOT granted",
    "mysql": "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'",
}
"""The number of connections that wait for a lock, by the database's vendor."""


class Lock:
    """A lock that the statement ``sql`` takes, held until it is released."""

    def __init__(self, sql: str) -> None:
        self._connection = connections.create_connection(connection.alias)
        self._connection.set_autocommit(False)
        self.execute(sql)

    def wait_for_blocked(self, count: int) -> None:
        """Wait until ``count`` connections are blocked, by this lock or by one that a blocked connection holds."""
        blocked = BLOCKED[connection.vendor]
        # MySQL renews the view only if nobody has read it for 0.1 s.
        wait_until(lambda: self.execute(blocked) == [(count,)], f"{count} workers are blocked", interval=0.2)

    def release(self) -> None:
        """End the transaction that holds the lock."""
        self._connection.close()

    def execute(self, sql: str) -> list[tuple[object, ...]]:
        """Run a statement in the transaction that holds the lock, and return its rows."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall()) if cursor.description else []


TakeLock = Callable[[str], Lock]
"""The type of the fixtures ``lock`` and ``row_lock``."""

TIMEOUTS = {
    "postgresql": ("SET lock_timeout = '{}s'", "RESET lock_timeout"),
    "mysql": ("SET innodb_lock_wait_timeout = {}", "SET innodb_lock_wait_timeout = DEFAULT"),
}
"""Statements that set the time that a connection waits for a lock, and that set it back, by the database's vendor."""


@contextmanager
def lock_timeout(seconds: float) -> Iterator[None]:
    """Set the time that this connection waits for a lock; whole seconds on MySQL."""
    begin, end = TIMEOUTS[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(begin.format(seconds))
        try:
            yield
        finally:
            cursor.execute(end)
