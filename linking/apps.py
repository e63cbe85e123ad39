"""The Django application of the domain."""

from django.apps import AppConfig
from django.db.backends.signals import connection_created

from linking.sql import prepare


class LinkingConfig(AppConfig):
    """Tables and rules of linking."""

    name = "linking"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the database check, and prepare each connection that Django opens."""
        from linking import checks  # noqa: F401, PLC0415 - Django allows this import only once apps are ready

        connection_created.connect(prepare, dispatch_uid="linking.sql")
