"""The table of the records."""

from typing import ClassVar

from django.db import models


class Record(models.Model):
    user_id = models.BigIntegerField(null=True)
    what = models.CharField(max_length=100)
    details = models.JSONField()

    class Meta:
        app_label, db_table = "recording_lms", "recording_lms_record"
        ordering: ClassVar = ["id"]
