"""The Django application of the worker."""

from django.apps import AppConfig


class WorkerConfig(AppConfig):
    """The ledger and the ways in and out."""

    name = "worker"
    verbose_name = "Linking jobs"
    default_auto_field = "django.db.models.BigAutoField"
