"""Modes of course runs."""

from typing import Any

from django.db import models
from openedx.core.djangoapps.content.course_overviews.models import CourseOverview


class CourseMode(models.Model):
    DEFAULT_MODE_SLUG = "audit"

    course: Any = models.ForeignKey(CourseOverview, models.DO_NOTHING, db_constraint=False)
    mode_slug = models.CharField(max_length=100)
    expiration_datetime = models.DateTimeField(null=True)

    class Meta:
        app_label, db_table, managed = "course_modes", "course_modes_coursemode", False
