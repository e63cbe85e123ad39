"""Certificates for a mode that has them."""

from typing import Any

from common.djangoapps.student.signals import ENROLLMENT_TRACK_UPDATED
from django.dispatch import receiver

from tests.support.recording_lms.recording import RecordedTask

generate_certificate_task = RecordedTask("generate_certificate_task")


@receiver(ENROLLMENT_TRACK_UPDATED)
def _listen_for_enrollment_mode_change(user: Any, course_key: Any, mode: str, **_: Any) -> None:
    if mode in {"honor", "verified", "masters"}:
        generate_certificate_task.apply_async(kwargs={"user_id": user.id, "course_key": str(course_key), "mode": mode})
