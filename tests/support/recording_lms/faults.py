"""Faults of receivers, and what else may happen to the plug-in."""

import logging
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import ModuleType
from typing import Any, ClassVar

from common.djangoapps.student import signals
from common.djangoapps.student.models import CourseEnrollment, UserProfile
from django.contrib.auth.models import User
from django.core.checks import run_checks
from django.db import OperationalError, connection
from django.db.models.signals import post_save
from django.test import override_settings
from django.utils import timezone
from edx_django_utils.plugins import add_plugins, connect_plugin_receivers, get_plugin_apps
from openedx.core.djangoapps.user_api.accounts.signals import USER_RETIRE_LMS_MISC
from openedx.core.djangoapps.waffle_utils.models import WaffleFlagCourseOverrideModel
from openedx.core.toggles import AUTHZ_COURSE_AUTHORING_FLAG
from openedx_events.learning.signals import COURSE_ENROLLMENT_CHANGED
from program_linking_lms import processing
from program_linking_lms.models import ProcessedEvent
from program_linking_lms.tasks import receive_events
from waffle.models import Flag

SIGNALS: dict[str, Any] = {
    "post_save": post_save,
    "ENROLL_STATUS_CHANGE": signals.ENROLL_STATUS_CHANGE,
    "UNENROLL_DONE": signals.UNENROLL_DONE,
    "COURSE_ENROLLMENT_CHANGED": COURSE_ENROLLMENT_CHANGED,
}


class _Log(logging.Handler):
    """Keeps what the plug-in logs from warnings on."""

    texts: ClassVar[list[str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


logging.getLogger("program_linking_lms").addHandler(_Log(logging.WARNING))
_failing: list[tuple[Any, Callable[..., None]]] = []


def receive(batch: str, events: list[dict[str, Any]]) -> str:
    """Run the task of the plug-in; return the type of its error, empty if there was none."""
    try:
        receive_events(batch=batch, events=events)
    except Exception as error:  # noqa: BLE001 - the test names the one that it expects
        return f"{type(error).__name__}: {error}"
    return ""


def receive_twice(batch: str, events: list[dict[str, Any]]) -> list[str]:
    """Run the task in two threads at once, each with a connection to the database; return their errors."""

    def run(_: int) -> str:
        try:
            return receive(batch, events)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(run, range(2)))


def fail(signal: str, how: str) -> None:
    """Connect a receiver that fails: ``bug``, ``statement`` (one that the database refuses) or ``lock``."""

    def receiver(**_: Any) -> None:
        if how == "statement":
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO auth_user (id) SELECT MAX(id) FROM auth_user")
        if how == "lock":
            raise OperationalError(1205, "Lock wait timeout exceeded")
        msg = "no learner may be named by this text"
        raise RuntimeError(msg)

    _failing.append((SIGNALS[signal], receiver))
    sender = CourseEnrollment if signal == "post_save" else None
    SIGNALS[signal].connect(receiver, sender=sender)
    SIGNALS[signal].receivers.insert(0, SIGNALS[signal].receivers.pop())  # The others come after it.
    SIGNALS[signal].sender_receivers_cache.clear()


def mend() -> None:
    """Disconnect the receivers that fail."""
    for signal, receiver in _failing:
        signal.disconnect(receiver, sender=CourseEnrollment if signal is post_save else None)
    _failing.clear()


def log() -> list[str]:
    """Return what the plug-in has logged, and forget it."""
    texts = _Log.texts.copy()
    _Log.texts.clear()
    return texts


def processed() -> int:
    """Return the number of ids of processed events."""
    return ProcessedEvent.objects.count()


def purge(days: int) -> int:
    """Remove ids as if they were older by so many days; return how many are left."""
    ProcessedEvent.objects.update(processed=timezone.now() - timedelta(days=days))
    processing.purge()
    return processed()


def retire(username: str) -> None:
    """Retire a user, as that step of the LMS does."""
    connect_plugin_receivers("lms.djangoapp")  # As the LMS does at its start.
    assert USER_RETIRE_LMS_MISC.has_listeners()
    USER_RETIRE_LMS_MISC.send(sender=None, user=User.objects.get(username=username))


def remove_profile(user_id: int) -> None:
    """Remove the profile of a user."""
    UserProfile.objects.filter(user=user_id).delete()


def keep_roles(courses: list[str]) -> None:
    """Let openedx-authz keep the roles of some course runs; of all with ``["*"]``."""
    name = AUTHZ_COURSE_AUTHORING_FLAG.name
    WaffleFlagCourseOverrideModel.objects.all().delete()
    Flag.objects.all().delete()
    if courses == ["*"]:
        Flag.objects.bulk_create([Flag(name=name, everyone=True)])  # Its save deletes from the cache, too.
        return
    for course in courses:
        WaffleFlagCourseOverrideModel.objects.create(
            waffle_flag=name, course_id=course, override_choice="on", enabled=True
        )


def check(filters: dict[str, Any]) -> list[str]:
    """Return what the checks of the plug-in find with such a configuration of filters."""
    with override_settings(OPEN_EDX_FILTERS_CONFIG=filters):
        found = run_checks(databases=["default"])
    return [f"{one.id} {one.msg}" for one in found if str(one.id).startswith("program_linking")]


def found() -> tuple[list[str], dict[str, Any]]:
    """Return the applications that the LMS finds as plug-ins, and some of the settings with those that they add."""
    module = ModuleType("settings_of_an_lms")
    module.PROGRAM_LINKING_QUEUE = "own"
    sys.modules[module.__name__] = module
    add_plugins(module.__name__, "lms.djangoapp", "common")
    names = ("PROGRAM_LINKING_QUEUE", "PROGRAM_LINKING_KEEP_DAYS")
    return list(get_plugin_apps("lms.djangoapp")), {name: getattr(module, name) for name in names}
