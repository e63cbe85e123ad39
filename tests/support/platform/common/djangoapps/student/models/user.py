"""Profiles and roles, with the history of roles."""

from typing import Any

from django.contrib.auth.models import User
from django.db import models
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver
from opaque_keys.edx.django.models import CourseKeyField


class UserProfile(models.Model):
    user = models.OneToOneField(User, models.CASCADE, related_name="profile", db_constraint=False)
    name = models.CharField(max_length=255, blank=True)

    class Meta:
        app_label, db_table = "student", "auth_userprofile"


class CourseAccessRole(models.Model):
    user = models.ForeignKey(User, models.CASCADE)
    org = models.CharField(max_length=64)
    course_id = CourseKeyField(max_length=255)
    role = models.CharField(max_length=64)

    class Meta:
        app_label, db_table, managed = "student", "student_courseaccessrole", False


class CourseAccessRoleHistory(models.Model):
    created = models.DateTimeField(auto_now_add=True)
    modified = models.DateTimeField(auto_now=True)
    user = models.ForeignKey(User, models.CASCADE)
    org = models.CharField(max_length=64)
    course_id = CourseKeyField(max_length=255)
    role = models.CharField(max_length=64)
    action_type = models.CharField(max_length=10)
    old_values = models.JSONField(null=True)
    changed_by = models.ForeignKey(User, models.CASCADE, null=True, related_name="+")

    class Meta:
        app_label, db_table, managed = "student", "student_courseaccessrolehistory", False


@receiver(post_save, sender=CourseAccessRole)
def record_granted_role(instance: CourseAccessRole, *, created: bool, **_: Any) -> None:
    _record_role(instance, "created" if created else "updated")


@receiver(post_delete, sender=CourseAccessRole)
def record_deleted_role(instance: CourseAccessRole, **_: Any) -> None:
    _record_role(instance, "deleted")


def _record_role(role: CourseAccessRole, action: str) -> None:
    columns = {name: getattr(role, name) for name in ("user_id", "org", "course_id", "role")}
    CourseAccessRoleHistory.objects.create(action_type=action, **columns)
