"""The Django application of the outbox: its tables are ours, also beside an LMS, whose tables are those of linking."""

from collections.abc import Callable
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from linking.signals import course_enrollment_changed, course_role_changed


class OutboxConfig(AppConfig):
    """Tables and delivery of events."""

    name = "linking.outbox"
    label = "linking_outbox"
    verbose_name = "Events"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect the receivers of ``LINKING_EVENT_RECEIVERS`` to the signals.

        Raises:
            ImproperlyConfigured: one of them cannot be imported, or called.
        """
        for path in getattr(settings, "LINKING_EVENT_RECEIVERS", ()):
            receiver = _receiver(path)
            for signal in (course_enrollment_changed, course_role_changed):
                signal.connect(receiver, weak=False, dispatch_uid=path)


def _receiver(path: str) -> Callable[..., Any]:
    expected = "dotted paths of functions such as shop.enrollments.notify, with commas between"
    try:
        receiver: Callable[..., Any] = import_string(path)
    except ImportError as error:
        msg = f"LINKING_EVENT_RECEIVERS has {path!r}, which cannot be imported ({error}): expected {expected}."
        raise ImproperlyConfigured(msg) from error
    if not callable(receiver):
        msg = f"LINKING_EVENT_RECEIVERS has {path!r}, which is no function: expected {expected}."
        raise ImproperlyConfigured(msg)
    return receiver
