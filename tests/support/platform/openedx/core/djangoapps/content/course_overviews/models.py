"""Course runs."""

from django.db import models
from opaque_keys.edx.django.models import CourseKeyField


class CourseOverview(models.Model):
    id = CourseKeyField(primary_key=True, max_length=255)
    display_name = models.TextField(null=True)  # noqa: DJ001 - as the platform

    class Meta:
        app_label, db_table, managed = "course_overviews", "course_overviews_courseoverview", False
