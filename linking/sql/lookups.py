"""SQL for the comparisons of linking: keys without regard to case, users by name."""

from typing import Any, cast

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


def user_table() -> tuple[str, str, str]:
    """Return the table of ``settings.AUTH_USER_MODEL``, its primary key and the column of the username."""
    model = get_user_model()
    meta = model._meta  # noqa: SLF001 - the public way to a model's columns
    name = cast("Field[Any, Any]", meta.get_field(model.USERNAME_FIELD))
    return meta.db_table, str(meta.pk.column), str(name.column)
