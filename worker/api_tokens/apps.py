"""The Django application of the tokens: its tables and migrations are independent of the ledger's."""

from django.apps import AppConfig


class TokensConfig(AppConfig):
    """Configuration of the application."""

    name = "worker.api_tokens"
    verbose_name = "HTTP API"
    default_auto_field = "django.db.models.BigAutoField"
