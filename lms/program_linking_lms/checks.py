"""What the LMS has configured that cannot be honoured for enrollments that program-linking has written."""

import logging
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning

from program_linking_lms import platform

log = logging.getLogger(__name__)

STARTED = "org.openedx.learning.course.enrollment.started.v1"
"""The filter that may refuse or change an enrollment."""


def check_enrollment_filters(**_: Any) -> list[CheckMessage]:
    """Return a warning if a filter would refuse or change enrollments."""
    steps = _steps_of(getattr(settings, "OPEN_EDX_FILTERS_CONFIG", None) or {})
    if not steps:
        return []
    return [
        Warning(
            f"OPEN_EDX_FILTERS_CONFIG has steps for {STARTED}: {', '.join(steps)}."
            " They do not run for enrollments that program-linking makes.",
            hint="Link the programs concerned in the LMS itself, or make sure that the steps need not run.",
            id="program_linking.W001",
        )
    ]


def log_enrollment_filters() -> None:
    """Log the warning of the check."""
    for message in check_enrollment_filters():
        log.warning("[%s] %s %s", message.id, message.msg, message.hint)


def check_roles(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Return a warning if openedx-authz keeps the roles of all courses, or of some."""
    flag = platform.authz_flag()
    if flag is None or "default" not in (databases or ()):
        return []
    courses = _courses_with(flag.name)
    if not courses:
        return []
    return [
        Warning(
            f"openedx-authz keeps the roles of {courses} (flag {flag.name}),"
            " but program-linking grants roles in student_courseaccessrole.",
            hint="Grant roles there by the LMS: delete their assignments before the program is linked.",
            id="program_linking.W002",
        )
    ]


def _steps_of(filters: Any) -> list[str]:
    """Return the steps of the filter; a list of them, or one, may stand for its configuration."""
    configured = filters.get(STARTED) or []
    if isinstance(configured, dict):
        configured = configured.get("pipeline") or []
    return [configured] if isinstance(configured, str) else list(configured)


def _courses_with(name: str) -> str:
    """Return the courses for which a flag is on, in words; empty if there are none."""
    from openedx.core.djangoapps.waffle_utils import models  # noqa: PLC0415 - of the LMS
    from waffle.models import Flag  # noqa: PLC0415 - of the LMS

    if Flag.objects.filter(name=name, everyone=True).exists():
        return "all courses"
    places = []
    for model, field in (("WaffleFlagOrgOverrideModel", "org"), ("WaffleFlagCourseOverrideModel", "course_id")):
        overrides = getattr(models, model).objects.current_set()
        found = overrides.filter(waffle_flag=name, override_choice="on", enabled=True)
        places += [str(place) for place in found.values_list(field, flat=True)]
    return ", ".join(sorted(places))
