"""How our statements name and compare things: folded keys, the columns of the user model, UUIDs as stored."""

from typing import TYPE_CHECKING, Any, NamedTuple, cast
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.db.models import CharField, Field, Func, UUIDField

from linking.keys import fold_key

if TYPE_CHECKING:
    import sqlite3

SQLITE_FUNCTION = "LINKING_FOLD"


class FoldedKey(Func):
    """An external user key in its folded form."""

    function = "LOWER"
    arity = 1
    output_field = CharField()

    def as_sqlite(self, compiler: Any, connection: BaseDatabaseWrapper, **context: Any) -> tuple[str, Any]:
        """Use our own function: SQLite's ``LOWER`` knows ASCII only."""
        return self.as_sql(compiler, connection, function=SQLITE_FUNCTION, **context)


def folded(connection: BaseDatabaseWrapper, column: str) -> str:
    """Return the SQL that folds ``column`` exactly as the index on keys does."""
    return f"{SQLITE_FUNCTION if connection.vendor == 'sqlite' else 'LOWER'}({column})"


class UserTable(NamedTuple):
    """The table and columns of ``settings.AUTH_USER_MODEL``."""

    table: str
    key: str
    name: str


def user_table() -> UserTable:
    """Return the table of users, its primary key and the column of the username."""
    model = get_user_model()
    meta = model._meta  # noqa: SLF001 - the public way to a model's columns
    key, name = meta.pk, cast("Field[Any, Any]", meta.get_field(model.USERNAME_FIELD))
    return UserTable(table=meta.db_table, key=str(key.column), name=str(name.column))


def stored_uuid(connection: BaseDatabaseWrapper, value: UUID) -> Any:
    """Return a UUID as the database stores it."""
    return UUIDField().get_db_prep_value(value, connection)


def register_sqlite_function() -> None:
    """Give every SQLite connection that Django opens the folding function."""
    connection_created.connect(_teach, dispatch_uid="linking.sql.lookups")


def _fold_or_null(key: str | None) -> str | None:
    return None if key is None else fold_key(key)


def _teach(connection: BaseDatabaseWrapper, **_: object) -> None:
    if connection.vendor == "sqlite":
        database: sqlite3.Connection = connection.connection
        # Only a deterministic function may stand in an index.
        database.create_function(SQLITE_FUNCTION, 1, _fold_or_null, deterministic=True)
