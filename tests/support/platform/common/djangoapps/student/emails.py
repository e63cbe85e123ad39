"""Mail."""

from typing import Any

from tests.support.recording_lms.recording import note


def send_proctoring_requirements_email(context: dict[str, Any]) -> None:
    note(context["user"].id, "proctoring mail", course=context["course_id"])
