"""Permissions of the pages beside an LMS.

Django would write those of every application, and only where it may create the table, which is the LMS's.
"""

from typing import Any

from django.apps import AppConfig
from django.contrib.auth import get_permission_codename
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType

from worker.lms.router import OURS

SHOWN = OURS | {"linking"}
"""Labels of the applications whose tables the pages show."""


def create_permissions(app_config: AppConfig, using: str, **_: Any) -> None:
    """Create the permissions of an application whose tables the pages show, and their content types, where missing."""
    if app_config.label not in SHOWN:
        return
    for model in app_config.get_models():
        options = model._meta  # noqa: SLF001 - Django's documented API
        kind = ContentType.objects.db_manager(using).get_for_model(model, for_concrete_model=False)
        names = {
            get_permission_codename(action, options): f"Can {action} {options.verbose_name_raw}"
            for action in options.default_permissions
        }
        for codename, name in (names | dict(options.permissions)).items():
            Permission.objects.using(using).get_or_create(
                content_type=kind, codename=codename, defaults={"name": str(name)}
            )
