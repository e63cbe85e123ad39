"""Course enrollments: what the platform does when one is created, changed or saved."""

import uuid
from typing import Any, Self

from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import models
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver
from opaque_keys.edx.django.models import CourseKeyField
from opaque_keys.edx.keys import CourseKey
from openedx.core.djangoapps.content.course_overviews.models import CourseOverview
from openedx_events.learning.data import CourseData, CourseEnrollmentData, UserData, UserPersonalData
from openedx_events.learning.signals import (
    COURSE_ENROLLMENT_CHANGED,
    COURSE_ENROLLMENT_CREATED,
    COURSE_UNENROLLMENT_COMPLETED,
)
from openedx_filters.learning.filters import CourseEnrollmentStarted
from simple_history.models import HistoricalRecords

from common.djangoapps.course_modes.models import CourseMode
from common.djangoapps.student.signals import ENROLL_STATUS_CHANGE, ENROLLMENT_TRACK_UPDATED, UNENROLL_DONE
from tests.support.recording_lms.recording import note

SCORE_RECALCULATION_DELAY = 30
"""Seconds before the grades of a user with another mode are calculated again."""


class EnrollStatusChange:
    enroll = "enroll"
    unenroll = "unenroll"


class CourseEnrollment(models.Model):
    user = models.ForeignKey(User, models.CASCADE)
    course = models.ForeignKey(CourseOverview, models.DO_NOTHING, db_constraint=False)
    created = models.DateTimeField(auto_now_add=True, null=True)
    is_active = models.BooleanField(default=True)
    mode = models.CharField(max_length=100, default=CourseMode.DEFAULT_MODE_SLUG)
    history = HistoricalRecords(
        history_id_field=models.UUIDField(default=uuid.uuid4), table_name="student_courseenrollment_history"
    )

    class Meta:
        app_label, db_table, managed = "student", "student_courseenrollment", False

    def save(self, *args: Any, **kwargs: Any) -> None:
        super().save(*args, **kwargs)
        cache.delete(self.enrollment_status_hash_cache_key(self.user))

    @classmethod
    def enrollment_status_hash_cache_key(cls, user: User) -> str:
        return f"enrollment_status_hash_{user.username}"

    @classmethod
    def cache_key_name(cls, user_id: int, course_key: str) -> str:
        return f"enrollment.{user_id}.{course_key}.mode"

    @classmethod
    def get_or_create_enrollment(cls, user: User, course_key: CourseKey) -> Self:
        defaults = {"is_active": False, "mode": CourseMode.DEFAULT_MODE_SLUG}
        found, _ = cls.objects.get_or_create(user=user, course_id=course_key, defaults=defaults)
        CourseEnrollmentAllowed.objects.filter(email=user.email, course_id=course_key, user=None).update(user=user)
        return found

    @classmethod
    def enroll(cls, user: User, course_key: CourseKey, mode: str, check_access: bool = False) -> Self:
        user, course_key, mode = CourseEnrollmentStarted.run_filter(user=user, course_key=course_key, mode=mode)
        found = cls.get_or_create_enrollment(user, course_key)
        found.update_enrollment(is_active=True, mode=mode)
        found.send_signal(EnrollStatusChange.enroll)
        COURSE_ENROLLMENT_CREATED.send_event(enrollment=found._event_data())
        return found

    def update_enrollment(
        self,
        mode: str | None = None,
        is_active: bool | None = None,
        skip_refund: bool = False,
    ) -> None:
        activity_changes = is_active is not None and is_active != self.is_active
        mode_changes = mode is not None and mode != self.mode
        if not activity_changes and not mode_changes:
            return
        self.is_active = self.is_active if is_active is None else is_active
        self.mode = self.mode if mode is None else mode
        self.save()
        COURSE_ENROLLMENT_CHANGED.send_event(enrollment=self._event_data())
        if activity_changes and self.is_active:
            self.emit_event("edx.course.enrollment.activated")
        elif activity_changes:
            UNENROLL_DONE.send(sender=None, course_enrollment=self, skip_refund=skip_refund)
            self.emit_event("edx.course.enrollment.deactivated")
            self.send_signal(EnrollStatusChange.unenroll)
            COURSE_UNENROLLMENT_COMPLETED.send_event(enrollment=self._event_data())
        if mode_changes:
            self._announce_mode()

    def _announce_mode(self) -> None:
        from common.djangoapps.student.email_helpers import (
            generate_proctoring_requirements_email_context,
            should_send_proctoring_requirements_email,
        )
        from common.djangoapps.student.emails import send_proctoring_requirements_email

        if should_send_proctoring_requirements_email(self.user.username, self.course_id):
            context = generate_proctoring_requirements_email_context(self.user, self.course_id)
            send_proctoring_requirements_email(context=context)
        self.emit_event("edx.course.enrollment.mode_changed")
        ENROLLMENT_TRACK_UPDATED.send(
            sender=None,
            user=self.user,
            course_key=self.course_id,
            mode=self.mode,
            countdown=SCORE_RECALCULATION_DELAY,
        )

    def deactivate(self) -> None:
        self.update_enrollment(is_active=False)

    def send_signal(self, event: str, cost: float | None = None, currency: str | None = None) -> None:
        ENROLL_STATUS_CHANGE.send(
            sender=None,
            event=event,
            user=self.user,
            mode=self.mode,
            course_id=self.course_id,
            cost=cost,
            currency=currency,
        )

    def emit_event(self, event_name: str) -> None:
        data = {"user_id": self.user.id, "course_id": str(self.course_id), "mode": self.mode}
        note(self.user.id, "tracking", name=event_name, data=data)

    def _event_data(self) -> Any:
        person = UserPersonalData(username=self.user.username, email=self.user.email, name=self.user.profile.name)
        try:
            course = CourseData(course_key=self.course_id, display_name=self.course.display_name)
        except CourseOverview.DoesNotExist:
            course = CourseData(course_key=self.course_id)
        return CourseEnrollmentData(
            user=UserData(pii=person, id=self.user.id, is_active=self.user.is_active),
            course=course,
            mode=self.mode,
            is_active=self.is_active,
            creation_date=self.created,
        )


class CourseEnrollmentAllowed(models.Model):
    email = models.CharField(max_length=255)
    course_id = CourseKeyField(max_length=255)
    user = models.ForeignKey(User, models.CASCADE, null=True)

    class Meta:
        app_label, db_table, managed = "student", "student_courseenrollmentallowed", False


@receiver(post_save, sender=CourseEnrollment)
@receiver(post_delete, sender=CourseEnrollment)
def invalidate_enrollment_mode_cache(instance: CourseEnrollment, **_: Any) -> None:
    cache.delete(CourseEnrollment.cache_key_name(instance.user.id, str(instance.course_id)))


@receiver(post_save, sender=CourseEnrollment)
def update_expiry_email_date(instance: CourseEnrollment, **_: Any) -> None:
    if instance.mode == "verified":
        note(instance.user_id, "expiry e-mail", course=instance.course_id)
