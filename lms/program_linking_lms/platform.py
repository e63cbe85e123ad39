"""The names of the LMS that the plug-in uses, each imported where it is needed: the models need all applications."""

from typing import Any

ACTIVATED = "edx.course.enrollment.activated"
DEACTIVATED = "edx.course.enrollment.deactivated"
MODE_CHANGED = "edx.course.enrollment.mode_changed"
"""Names of tracking events."""
ENROLL, UNENROLL = "enroll", "unenroll"
"""Values of ``event`` of ENROLL_STATUS_CHANGE."""
GRADES_COUNTDOWN = 30
"""Seconds after which grades are calculated again when a mode changed: cohorts are updated first."""


def course_enrollments() -> Any:
    """Return the model of course enrollments."""
    from common.djangoapps.student.models import CourseEnrollment  # noqa: PLC0415

    return CourseEnrollment


def enrollment_signals() -> Any:
    """Return the module with ENROLL_STATUS_CHANGE, ENROLLMENT_TRACK_UPDATED and UNENROLL_DONE."""
    from common.djangoapps.student import signals  # noqa: PLC0415

    return signals


def default_mode() -> str:
    """Return the mode in which the LMS creates a course enrollment."""
    from common.djangoapps.course_modes.models import CourseMode  # noqa: PLC0415

    return str(CourseMode.DEFAULT_MODE_SLUG)


def send_proctoring_mail(user: Any, course_key: Any) -> None:
    """Send the mail about the requirements of proctoring, if the course has any."""
    from common.djangoapps.student import email_helpers, emails  # noqa: PLC0415

    if email_helpers.should_send_proctoring_requirements_email(user.username, course_key):
        context = email_helpers.generate_proctoring_requirements_email_context(user, course_key)
        emails.send_proctoring_requirements_email(context=context)


def external_user_keys(user: Any) -> list[str]:
    """Return the keys of a user's program enrollments."""
    from lms.djangoapps.program_enrollments.models import ProgramEnrollment  # noqa: PLC0415

    keys = ProgramEnrollment.objects.filter(user=user).exclude(external_user_key=None)
    return list(keys.values_list("external_user_key", flat=True))


def authz_flag() -> Any:
    """Return the flag with which openedx-authz keeps roles of a course; None in releases without it."""
    try:
        from openedx.core.toggles import AUTHZ_COURSE_AUTHORING_FLAG  # noqa: PLC0415
    except ImportError:
        return None
    return AUTHZ_COURSE_AUTHORING_FLAG
