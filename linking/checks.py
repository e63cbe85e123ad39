"""Check of the database, run by ``manage.py check --database default``."""

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Warning
from django.db import connections

from linking.sql import dialect


def collation_folds_unicode(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Warn when the database folds ASCII only, as PostgreSQL does with some collations."""
    messages: list[CheckMessage] = []
    for alias in databases or ():
        connection = connections[alias]
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {dialect(connection).fold_function}('É') = 'é'")
            (folds,) = cursor.fetchone() or (True,)
        if not folds:
            messages.append(
                Warning(
                    "The database's collation does not know letters outside ASCII: external user keys that differ"
                    " only in the case of such a letter will not be found.",
                    hint="Create the database with a Unicode LC_CTYPE, for example C.UTF-8 or en_US.UTF-8.",
                    obj=alias,
                    id="linking.W001",
                )
            )
    return messages
