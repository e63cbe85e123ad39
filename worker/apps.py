"""The Django applications of the worker."""

from django.apps import AppConfig
from django.contrib.admin import apps as admin


class WorkerConfig(AppConfig):
    """Configuration of the application."""

    name = "worker"
    verbose_name = "Linking jobs"
    default_auto_field = "django.db.models.BigAutoField"
    default = True


class LinkingAdminConfig(admin.AdminConfig):
    """Django's admin with a home of ours."""

    default = False
    default_site = "worker.web.home.LinkingAdminSite"
