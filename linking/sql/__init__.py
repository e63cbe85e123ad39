"""SQL, and everything in it that differs between databases: one module a dialect.

A further database is one more module that implements :class:`~linking.sql.interface.Dialect`, and its line below.
"""

from typing import Any

from django.db import connection as default_connection
from django.db.backends.base.base import BaseDatabaseWrapper

from linking.sql.interface import Dialect
from linking.sql.postgresql import PostgreSQL
from linking.sql.sqlite import SQLite

_DIALECTS: dict[str, Dialect] = {"postgresql": PostgreSQL(), "sqlite": SQLite()}


def dialect(connection: BaseDatabaseWrapper | None = None) -> Dialect:
    """Return the dialect of a connection, by default of Django's default connection."""
    return _DIALECTS[(connection or default_connection).vendor]


def prepare(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Prepare a connection that Django has just opened."""
    dialect(connection).prepare(connection)
