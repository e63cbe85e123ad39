"""SQL, and everything in it that differs between databases: one module a dialect.

A further database is one more module that implements :class:`~linking.sql.interface.Dialect`, and its line below.
"""

from collections.abc import Mapping
from typing import Any

from django.db import DatabaseError, InterfaceError
from django.db import connection as default_connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import CharField, Func

from linking.sql.interface import Dialect
from linking.sql.mysql import MySQL
from linking.sql.postgresql import PostgreSQL
from linking.sql.sqlite import SQLite

_DIALECTS: dict[str, Dialect] = {"postgresql": PostgreSQL(), "sqlite": SQLite(), "mysql": MySQL()}
SCHEMES = {"postgres": "postgresql"} | {name: name for name in _DIALECTS}
"""Name of the dialect by scheme of a database's address."""


def dialect(connection: BaseDatabaseWrapper | None = None) -> Dialect:
    """Return the dialect of a connection, by default of Django's default connection."""
    return _DIALECTS[(connection or default_connection).vendor]


def settings_of(
    scheme: str, options: Mapping[str, Any], *, lock_timeout: int, idle_timeout: int, is_lms: bool
) -> dict[str, Any]:
    """Return Django's settings of a database but for its address; see :meth:`Dialect.settings`."""
    timeouts = {"lock_timeout": lock_timeout, "idle_timeout": idle_timeout}
    return _DIALECTS[SCHEMES[scheme]].settings(options, is_lms=is_lms, **timeouts)


def prepare(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Prepare a connection that Django has just opened."""
    dialect(connection).prepare(connection)


def is_contention(error: BaseException) -> bool:
    """Return whether the transaction lost against another one and may simply run again."""
    return dialect().is_contention(error)


def is_lock_timeout(error: BaseException) -> bool:
    """Return whether a statement waited too long for a lock: contention after which to run again later."""
    return dialect().is_lock_timeout(error)


def is_outage(error: BaseException) -> bool:
    """Return whether the database failed and not the statement: connection lost, server stopping, disk full."""
    return isinstance(error, InterfaceError) or (isinstance(error, DatabaseError) and dialect().is_outage(error))


def is_transient(error: BaseException) -> bool:
    """Return whether a later attempt may succeed: after contention or an outage."""
    return is_contention(error) or is_outage(error)


def is_limit(error: BaseException) -> bool:
    """Return whether a limit ended the statement: a statement timeout, a full disk, exhausted memory."""
    return isinstance(error, DatabaseError) and dialect().is_limit(error)


def error_name(error: BaseException) -> str:
    """Return the type and the code of a database's error, without its text: texts quote rows."""
    code = dialect().error_code(error)
    return f"{type(error).__name__} {code}" if code else type(error).__name__


class FoldedKey(Func):
    """An external user key in its folded form."""

    arity = 1
    output_field = CharField()

    def as_sql(self, compiler: Any, connection: BaseDatabaseWrapper, **context: Any) -> tuple[str, Any]:  # type: ignore[override]
        """Use the expression of the dialect."""
        sql, parameters = compiler.compile(self.source_expressions[0])
        return dialect(connection).fold(sql), parameters


def folded(column: str) -> str:
    """Return the SQL that folds ``column`` exactly as the index on keys does."""
    return dialect().fold(column)
