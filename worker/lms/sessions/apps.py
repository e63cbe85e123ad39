"""The Django application of the sessions."""

from django.apps import AppConfig


class SessionsConfig(AppConfig):
    """Configuration of the application."""

    name = "worker.lms.sessions"
    label = "linking_sessions"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Leave accounts to the LMS: Django's own applications are ready by now."""
        from worker.lms.accounts import leave_accounts_to_the_lms  # noqa: PLC0415 - its models are loaded by now

        leave_accounts_to_the_lms()
