"""A lock on a row, under which workers can be held up where a test wants them."""

import psycopg

from tests.support.broker import wait_until


class RowLock:
    """A lock in PostgreSQL that is held until it is released.

    Args:
        database_url: the database.
        key: the external user key of the program enrollment that is locked.
    """

    def __init__(self, database_url: str, key: str) -> None:
        self._connection = psycopg.connect(database_url)
        self._connection.execute(
            "SELECT * FROM program_enrollments_programenrollment WHERE external_user_key = %s FOR UPDATE", [key]
        )

    def wait_for_blocked(self, count: int) -> None:
        """Wait until ``count`` others wait for a lock, this one or one that a waiting one holds."""
        waiting = "SELECT COUNT(*) FROM pg_locks WHERE NOT granted"
        wait_until(lambda: self._connection.execute(waiting).fetchone() == (count,), f"{count} wait for the lock")

    def release(self) -> None:
        """Let the others go on."""
        self._connection.close()
