"""The Django application of the domain."""

from django.apps import AppConfig
from django.core.checks import Tags, register
from django.db.backends.signals import connection_created

from linking.checks import collation_folds_unicode
from linking.sql import prepare


class LinkingConfig(AppConfig):
    """Tables and rules of linking."""

    name = "linking"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the database check, and prepare each connection that Django opens."""
        register(collation_folds_unicode, Tags.database)
        connection_created.connect(prepare, dispatch_uid="linking.sql")
