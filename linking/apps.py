"""The Django application of the domain."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Tags, Warning, register
from django.db import connections
from django.db.backends.signals import connection_created

from linking.sql import dialect, prepare


class LinkingConfig(AppConfig):
    """Tables and rules of linking."""

    name = "linking"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Prepare each connection that Django opens."""
        # Its modules need the settings.
        from linking.engine.lms_tables import forget  # noqa: PLC0415

        connection_created.connect(prepare, dispatch_uid="linking.sql")
        connection_created.connect(forget, dispatch_uid="linking.engine.lms_tables")


@register(Tags.database)
def collation_folds_unicode(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Warn when the database folds ASCII only, as PostgreSQL does with some collations."""
    messages: list[CheckMessage] = []
    for alias in databases or ():
        connection = connections[alias]
        with connection.cursor() as cursor:
            folded = dialect(connection).fold("'É'")
            cursor.execute(f"SELECT {folded} = 'é'")
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
