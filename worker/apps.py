"""The Django application of the worker."""

from django.apps import AppConfig


class WorkerConfig(AppConfig):
    """Configuration of the application."""

    name = "worker"
    verbose_name = "Linking jobs"
    default_auto_field = "django.db.models.BigAutoField"
