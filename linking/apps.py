"""The Django application of the domain."""

from django.apps import AppConfig


class LinkingConfig(AppConfig):
    """Tables and rules of linking."""

    name = "linking"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Teach SQLite connections to fold external user keys and check what PostgreSQL's collation folds."""
        from linking.sql import lookups  # noqa: PLC0415 - Django allows these imports only once apps are ready

        lookups.register_sqlite_function()
