"""The privileges that linking needs on tables of an LMS, and whether the database user has them."""

from collections.abc import Iterator

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from linking.lms_layout import NeededTable
from linking.sql import dialect


def missing_privileges(connection: BaseDatabaseWrapper, table: NeededTable) -> Iterator[str]:
    """Yield the privileges on a table that the user of a connection does not have."""
    # Any column: the user may have the privilege on some columns only, and user_id is one of them.
    column = next(name for name in ("user_id", *table.columns) if name in table.columns)
    statements = {
        "SELECT": f"SELECT {', '.join(table.read)} FROM {table.name} WHERE 1 = 0" if table.read else "",
        "INSERT": f"INSERT INTO {table.name} ({column}) VALUES (NULL)",
        "UPDATE": f"UPDATE {table.name} SET {column} = NULL WHERE 1 = 0",
        "DELETE": f"DELETE FROM {table.name} WHERE 1 = 0",
    }
    for privilege, sql in statements.items():
        if sql and privilege in {"SELECT", *table.writes} and not _may(connection, sql):
            yield privilege


def may_migrate(connection: BaseDatabaseWrapper) -> bool:
    """Return whether the user may record migrations: then it is the one of `migrate`, or one that may do everything."""
    return _may(connection, "INSERT INTO django_migrations (app) VALUES (NULL)")


def _may(connection: BaseDatabaseWrapper, sql: str) -> bool:
    """Return whether the user may run a statement, which is explained and not run: that takes the same privileges."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN {sql}")
    except DatabaseError as error:
        return not dialect(connection).is_denied(error)
    return True
