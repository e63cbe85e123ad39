"""The Django applications of the worker."""

from django.apps import AppConfig
from django.conf import settings
from django.contrib.admin import apps as admin
from django.db.models.signals import post_migrate


class WorkerConfig(AppConfig):
    """Configuration of the application."""

    name = "worker"
    verbose_name = "Linking jobs"
    default_auto_field = "django.db.models.BigAutoField"
    default = True

    def ready(self) -> None:
        """Beside an LMS: create the permissions of our tables after a migration."""
        if settings.LINKING_LMS:
            from worker.lms.permissions import create_permissions  # noqa: PLC0415 - its models are loaded by now

            post_migrate.connect(create_permissions, dispatch_uid="worker.lms.permissions")


class LinkingAdminConfig(admin.AdminConfig):
    """Django's admin with a home of ours."""

    default = False
    default_site = "worker.web.home.LinkingAdminSite"
