"""Schedules: made for a new enrollment, reset when its mode changes."""

from typing import Any

from common.djangoapps.student.models import CourseEnrollment
from common.djangoapps.student.signals import ENROLLMENT_TRACK_UPDATED
from django.db.models.signals import post_save
from django.dispatch import receiver

from tests.support.recording_lms.recording import note


@receiver(post_save, sender=CourseEnrollment)
def create_schedule(instance: CourseEnrollment, *, created: bool, **_: Any) -> None:
    if created:
        note(instance.user_id, "schedule", course=instance.course_id)


@receiver(ENROLLMENT_TRACK_UPDATED)
def reset_schedule_on_mode_change(user: Any, course_key: Any, mode: str, **_: Any) -> None:
    note(user.id, "schedule reset", course=course_key, mode=mode)
