"""The tables of the LMS; those with history are saved through django-simple-history."""

import uuid
from typing import Any, ClassVar

from django.contrib.auth.models import User
from django.db import models
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver
from simple_history.models import HistoricalRecords

LABEL = "living_lms"


class CourseOverview(models.Model):
    id = models.CharField(primary_key=True, max_length=255)

    class Meta:
        app_label, db_table, managed = LABEL, "course_overviews_courseoverview", False


class CourseMode(models.Model):
    course_id = models.CharField(max_length=255)
    mode_slug = models.CharField(max_length=100)
    expiration_datetime = models.DateTimeField(null=True)

    class Meta:
        app_label, db_table, managed = LABEL, "course_modes_coursemode", False


class CourseEnrollment(models.Model):
    user = models.ForeignKey(User, models.CASCADE)
    course_id = models.CharField(max_length=255, null=True)  # noqa: DJ001 - NULL in the history only
    created = models.DateTimeField(auto_now_add=True, null=True)
    is_active = models.BooleanField(default=True)
    mode = models.CharField(max_length=100, default="audit")
    history = HistoricalRecords(
        history_id_field=models.UUIDField(default=uuid.uuid4), table_name="student_courseenrollment_history"
    )

    class Meta:
        app_label, db_table, managed = LABEL, "student_courseenrollment", False


class CourseEnrollmentAllowed(models.Model):
    email = models.CharField(max_length=255)
    course_id = models.CharField(max_length=255)
    user = models.ForeignKey(User, models.CASCADE, null=True)

    class Meta:
        app_label, db_table, managed = LABEL, "student_courseenrollmentallowed", False


class CourseAccessRole(models.Model):
    user = models.ForeignKey(User, models.CASCADE)
    org = models.CharField(max_length=64)
    course_id = models.CharField(max_length=255)
    role = models.CharField(max_length=64)

    class Meta:
        app_label, db_table, managed = LABEL, "student_courseaccessrole", False


class CourseAccessRoleHistory(models.Model):
    created = models.DateTimeField(auto_now_add=True)
    modified = models.DateTimeField(auto_now=True)
    user = models.ForeignKey(User, models.CASCADE)
    org = models.CharField(max_length=64)
    course_id = models.CharField(max_length=255)
    role = models.CharField(max_length=64)
    action_type = models.CharField(max_length=10)
    old_values = models.JSONField(null=True)
    changed_by = models.ForeignKey(User, models.CASCADE, null=True, related_name="+")

    class Meta:
        app_label, db_table, managed = LABEL, "student_courseaccessrolehistory", False


class TimeStamped(models.Model):
    created = models.DateTimeField(auto_now_add=True)
    modified = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True


class ProgramEnrollment(TimeStamped):
    user = models.ForeignKey(User, models.CASCADE, null=True)
    external_user_key = models.CharField(max_length=255, null=True)  # noqa: DJ001 - Open edX's
    program_uuid = models.UUIDField()
    curriculum_uuid = models.UUIDField()
    status = models.CharField(max_length=9)
    history = HistoricalRecords(table_name="program_enrollments_historicalprogramenrollment")

    class Meta:
        app_label, db_table, managed = LABEL, "program_enrollments_programenrollment", False


class ProgramCourseEnrollment(TimeStamped):
    program_enrollment = models.ForeignKey(ProgramEnrollment, models.CASCADE, related_name="courses")
    course_enrollment = models.ForeignKey(CourseEnrollment, models.CASCADE, null=True)
    course_key = models.CharField(max_length=255)
    status = models.CharField(max_length=9)
    history = HistoricalRecords(table_name="program_enrollments_historicalprogramcourseenrollment")

    class Meta:
        app_label, db_table, managed = LABEL, "program_enrollments_programcourseenrollment", False
        ordering: ClassVar = ["id"]


class CourseAccessRoleAssignment(TimeStamped):
    role = models.CharField(max_length=64)
    enrollment = models.ForeignKey(ProgramCourseEnrollment, models.CASCADE, related_name="assignments")

    class Meta:
        app_label, db_table, managed = LABEL, "program_enrollments_courseaccessroleassignment", False
        ordering: ClassVar = ["id"]


@receiver(post_save, sender=CourseAccessRole)
def record_granted_role(instance: CourseAccessRole, *, created: bool, **_: Any) -> None:
    """Write the history of a role."""
    _record_role(instance, "created" if created else "updated")


@receiver(post_delete, sender=CourseAccessRole)
def record_deleted_role(instance: CourseAccessRole, **_: Any) -> None:
    """Write the history of a role that was taken away."""
    _record_role(instance, "deleted")


def _record_role(role: CourseAccessRole, action: str) -> None:
    columns = {name: getattr(role, name) for name in ("user_id", "org", "course_id", "role")}
    CourseAccessRoleHistory.objects.create(action_type=action, **columns)
