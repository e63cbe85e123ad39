"""Where a flag is on for some course runs or organizations only."""

from typing import Any

from django.db import models


class Current(models.Manager[Any]):
    """The platform keeps former rows as well; here there are none."""

    def current_set(self) -> Any:
        return self.all()


class WaffleFlagCourseOverrideModel(models.Model):
    waffle_flag = models.CharField(max_length=255)
    course_id = models.CharField(max_length=255)
    override_choice = models.CharField(max_length=3)
    enabled = models.BooleanField()
    objects = Current()

    class Meta:
        app_label = "waffle_utils"


class WaffleFlagOrgOverrideModel(models.Model):
    waffle_flag = models.CharField(max_length=255)
    org = models.CharField(max_length=255)
    override_choice = models.CharField(max_length=3)
    enabled = models.BooleanField()
    objects = Current()

    class Meta:
        app_label = "waffle_utils"
