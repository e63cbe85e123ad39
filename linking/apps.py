"""The Django application of the domain."""

from django.apps import AppConfig
from django.db.backends.signals import connection_created

from linking.sql import prepare


class LinkingConfig(AppConfig):
    """Tables and rules of linking."""

    name = "linking"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register checks, and prepare each connection that Django opens."""
        # These modules need the settings and the models.
        from linking import checks  # noqa: F401, PLC0415
        from linking.engine.lms_tables import forget  # noqa: PLC0415

        connection_created.connect(prepare, dispatch_uid="linking.sql")
        connection_created.connect(forget, dispatch_uid="linking.engine.lms_tables")
