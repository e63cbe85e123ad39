"""The interface of a database server: everything that differs between databases in chaos."""

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Self

from chaos.proxy import Cut
from devservers import Server

RECORDED = ("student_courseenrollment", "student_courseaccessrole", "program_enrollments_programenrollment")
"""Tables of which each change is recorded in ``chaos_history``."""
RESULTS = "django_celery_results_taskresult"
"""The table of which each change is recorded in ``chaos_result``."""


class Database(ABC):
    """A private database server. A context manager: leaving it ends the server."""

    server: Server
    cuts: tuple[Cut, ...] = (Cut.BEFORE, Cut.AFTER, Cut.AT_ONCE)
    """The ways in which a connection may end in a COMMIT."""
    lock_table: str
    """Locks a table of the LMS against all access, as a migration does."""
    isolation: str
    """Sets the isolation level of a session's transactions: READ COMMITTED, for example."""
    history: tuple[str, ...]
    """Statements that create the tables and triggers which record changes, each change with its transaction."""

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.__exit__()

    @abstractmethod
    def url(self, name: str, port: int | None = None) -> str:
        """Return the ``DATABASE_URL`` of a database, on request through a proxy on a port of 127.0.0.1."""

    @property
    @abstractmethod
    def target(self) -> Path | int:
        """The socket of the server, or its port on 127.0.0.1."""

    @abstractmethod
    def admin(self) -> AbstractContextManager[Any]:
        """Connect to no database in particular, and return a cursor that commits each statement."""

    def create(self, name: str) -> None:
        """Create an empty database."""
        with self.admin() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")

    @abstractmethod
    def copy(self, name: str, source: str) -> None:
        """Create the database ``name`` as a copy of ``source``, with statistics for the planner."""

    @abstractmethod
    def drop(self, name: str) -> None:
        """Drop a database, whatever is connected to it."""

    @abstractmethod
    def kill_sessions(self, name: str, choice: random.Random) -> int:
        """End one to three sessions on a database; return how many."""

    @staticmethod
    def session_of(_greeting: bytes) -> int:
        """Return the number of the session that the server's first message on a connection names."""
        raise NotImplementedError

    def kill_session(self, _session: int) -> None:
        """End a session."""
        raise NotImplementedError


@contextmanager
def using(connection: Any) -> Iterator[Any]:
    """Yield a cursor of a connection; close both."""
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()
