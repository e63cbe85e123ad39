"""Roles in the forum."""

from typing import Any

from common.djangoapps.student.models import CourseEnrollment
from django.db.models.signals import post_save
from django.dispatch import receiver

from tests.support.recording_lms.recording import note


@receiver(post_save, sender=CourseEnrollment)
def assign_default_role_on_enrollment(instance: CourseEnrollment, **_: Any) -> None:
    note(instance.user_id, "forum role", course=instance.course_id, role="Student")
