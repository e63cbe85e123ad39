"""Cohorts follow the mode: the one before a save is noted before it."""

from typing import Any

from common.djangoapps.student.models import CourseEnrollment
from django.db.models.signals import post_save, pre_save
from django.dispatch import receiver

from openedx.core.djangoapps.verified_track_content.tasks import sync_cohort_with_mode


@receiver(pre_save, sender=CourseEnrollment)
def pre_save_callback(instance: Any, **_: Any) -> None:
    instance._old_mode = CourseEnrollment.objects.filter(pk=instance.pk).values_list("mode", flat=True).first()


@receiver(post_save, sender=CourseEnrollment)
def move_to_verified_cohort(instance: Any, **_: Any) -> None:
    if instance.mode != instance._old_mode:
        sync_cohort_with_mode.apply_async(
            kwargs={"course_id": str(instance.course_id), "user_id": instance.user.id, "mode": instance.mode}
        )
