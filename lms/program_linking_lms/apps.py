"""The plug-in, as the LMS finds it."""

from typing import Any, ClassVar

from django.apps import AppConfig
from django.core import checks


class ProgramLinkingConfig(AppConfig):
    """The plug-in; edx-django-utils reads ``plugin_app``."""

    name = "program_linking_lms"
    verbose_name = "Program linking"
    default_auto_field = "django.db.models.AutoField"  # The LMS's.
    plugin_app: ClassVar[dict[str, Any]] = {
        "settings_config": {"lms.djangoapp": {"common": {"relative_path": "settings.common"}}},
        "signals_config": {
            "lms.djangoapp": {
                "relative_path": "retirement",
                "receivers": [
                    {
                        "receiver_func_name": "forget_user",
                        "signal_path": "openedx.core.djangoapps.user_api.accounts.signals.USER_RETIRE_LMS_MISC",
                    }
                ],
            }
        },
    }

    def ready(self) -> None:
        """Register the checks, and log what needs no database: an LMS starts without ``manage.py check``."""
        from program_linking_lms.checks import (  # noqa: PLC0415 - after the settings
            check_enrollment_filters,
            check_roles,
            log_enrollment_filters,
        )

        checks.register(check_enrollment_filters)
        checks.register(check_roles, checks.Tags.database)
        log_enrollment_filters()
