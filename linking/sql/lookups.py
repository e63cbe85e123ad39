"""SQL for the comparisons of linking: keys without regard to case, users by name."""

from typing import Any, NamedTuple, cast

from django.contrib.auth import get_user_model
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import CharField, Field, Func

from linking.sql import dialect


class FoldedKey(Func):
    """An external user key in its folded form."""

    arity = 1
    output_field = CharField()

    def as_sql(self, compiler: Any, connection: BaseDatabaseWrapper, **context: Any) -> tuple[str, Any]:  # type: ignore[override]
        """Use the function of the dialect."""
        return super().as_sql(compiler, connection, function=dialect(connection).fold_function, **context)


def folded(column: str) -> str:
    """Return the SQL that folds ``column`` exactly as the index on keys does."""
    return f"{dialect().fold_function}({column})"


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
