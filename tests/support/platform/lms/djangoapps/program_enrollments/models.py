"""Program enrollments."""

from typing import ClassVar

from common.djangoapps.student.models import CourseEnrollment
from django.contrib.auth.models import User
from django.db import models
from opaque_keys.edx.django.models import CourseKeyField
from simple_history.models import HistoricalRecords

LABEL = "program_enrollments"


class TimeStamped(models.Model):
    created = models.DateTimeField(auto_now_add=True)
    modified = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True


class ProgramEnrollment(TimeStamped):
    user = models.ForeignKey(User, models.CASCADE, null=True)
    external_user_key = models.CharField(max_length=255, null=True)  # noqa: DJ001 - as the platform
    program_uuid = models.UUIDField()
    curriculum_uuid = models.UUIDField()
    status = models.CharField(max_length=9)
    historical_records = HistoricalRecords(table_name="program_enrollments_historicalprogramenrollment")

    class Meta:
        app_label, db_table, managed = LABEL, "program_enrollments_programenrollment", False


class ProgramCourseEnrollment(TimeStamped):
    program_enrollment = models.ForeignKey(ProgramEnrollment, models.CASCADE, related_name="courses")
    course_enrollment = models.ForeignKey(CourseEnrollment, models.CASCADE, null=True)
    course_key = CourseKeyField(max_length=255)
    status = models.CharField(max_length=9)
    historical_records = HistoricalRecords(table_name="program_enrollments_historicalprogramcourseenrollment")

    class Meta:
        app_label, db_table, managed = LABEL, "program_enrollments_programcourseenrollment", False
        ordering: ClassVar = ["id"]


class CourseAccessRoleAssignment(TimeStamped):
    role = models.CharField(max_length=64)
    enrollment = models.ForeignKey(ProgramCourseEnrollment, models.CASCADE, related_name="assignments")

    class Meta:
        app_label, db_table, managed = LABEL, "program_enrollments_courseaccessroleassignment", False
        ordering: ClassVar = ["id"]
