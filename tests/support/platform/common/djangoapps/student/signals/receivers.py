"""Receivers of saved enrollments and roles."""

from typing import Any

from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from common.djangoapps.student.models import CourseAccessRole, CourseEnrollment
from common.djangoapps.student.signals import emit_course_access_role_added, emit_course_access_role_removed
from tests.support.recording_lms.recording import note


@receiver(post_save, sender=CourseEnrollment)
def create_course_enrollment_celebration(instance: CourseEnrollment, *, created: bool, **_: Any) -> None:
    if created:
        note(instance.user_id, "celebration", course=instance.course_id)


@receiver(post_save, sender=CourseAccessRole)
def on_course_access_role_created(instance: CourseAccessRole, *, created: bool, **_: Any) -> None:
    if created:
        emit_course_access_role_added(instance.user, instance.course_id, instance.org, instance.role)


@receiver(post_delete, sender=CourseAccessRole)
def on_course_access_role_deleted(instance: CourseAccessRole, **_: Any) -> None:
    emit_course_access_role_removed(instance.user, instance.course_id, instance.org, instance.role)
