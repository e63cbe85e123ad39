"""The tables of linking, with the names and columns of Open edX.

Rules that span rows live in the engine; here are columns, constraints and the indexes that serve the engine's reads.
A foreign key whose column leads a unique constraint has no index of its own: the constraint's serves it.
"""

from typing import ClassVar

from django.conf import settings
from django.db import models
from opaque_keys.edx.django.models import CourseKeyField

from linking.sql import FoldedKey


def unique(*fields: str, name: str) -> models.UniqueConstraint:
    """Return the constraint that no two rows have the same values of ``fields``."""
    return models.UniqueConstraint(fields=fields, name=name)


class TimeStampedModel(models.Model):
    """A row with the times of its creation and last change."""

    created = models.DateTimeField(auto_now_add=True)
    modified = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True


class CourseOverview(TimeStampedModel):
    """A course run that exists."""

    id = CourseKeyField(primary_key=True, max_length=255, case_sensitive=True)
    org = models.CharField(max_length=255, blank=True)
    display_name = models.CharField(max_length=255, blank=True)

    class Meta:
        db_table = "course_overviews_courseoverview"

    def __str__(self) -> str:
        return str(self.id)


class CourseMode(models.Model):
    """A track that a course run offers, for ever or until it expires."""

    course = models.ForeignKey(CourseOverview, models.DO_NOTHING, db_constraint=False, db_index=False)
    mode_slug = models.CharField(max_length=100)
    mode_display_name = models.CharField(max_length=255, blank=True)
    expiration_datetime = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "course_modes_coursemode"
        constraints: ClassVar = [unique("course", "mode_slug", name="coursemode_unique_course_mode")]

    def __str__(self) -> str:
        return f"{self.mode_slug} of {self.course_id}"


class CourseEnrollment(models.Model):
    """The LMS's own record of a user in a course run."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, db_index=False)
    course = models.ForeignKey(CourseOverview, models.DO_NOTHING, db_constraint=False)
    created = models.DateTimeField(auto_now_add=True)
    is_active = models.BooleanField(default=True)
    mode = models.CharField(max_length=100, default="audit")

    class Meta:
        db_table = "student_courseenrollment"
        constraints: ClassVar = [unique("user", "course", name="courseenrollment_unique_user_course")]

    def __str__(self) -> str:
        return f"user {self.user_id} in {self.course_id} ({self.mode}, {'active' if self.is_active else 'inactive'})"


class CourseAccessRole(models.Model):
    """A role that a user holds on a course run."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, db_index=False)
    org = models.CharField(max_length=64, blank=True)
    course_id = CourseKeyField(max_length=255, blank=True, db_index=True, case_sensitive=True)
    role = models.CharField(max_length=64)

    class Meta:
        db_table = "student_courseaccessrole"
        constraints: ClassVar = [unique("user", "org", "course_id", "role", name="courseaccessrole_unique")]

    def __str__(self) -> str:
        return f"user {self.user_id} is {self.role} of {self.course_id or self.org}"


class ProgramEnrollment(TimeStampedModel):
    """A learner's place in a curriculum of a program: waiting until it has an LMS user, then linked."""

    class Status(models.TextChoices):
        """The learner's status in the program; linking ignores it."""

        ENROLLED = "enrolled"
        PENDING = "pending"
        SUSPENDED = "suspended"
        CANCELED = "canceled"
        ENDED = "ended"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, db_index=False)
    external_user_key = models.CharField(max_length=255, null=True, blank=True)  # noqa: DJ001 - Open edX's: no key is NULL, as the unique constraint needs
    program_uuid = models.UUIDField()
    curriculum_uuid = models.UUIDField()
    status = models.CharField(max_length=9, choices=Status, default=Status.ENROLLED)

    class Meta:
        db_table = "program_enrollments_programenrollment"
        constraints: ClassVar = [
            unique("user", "program_uuid", "curriculum_uuid", name="programenrollment_unique_user"),
            unique("external_user_key", "program_uuid", "curriculum_uuid", name="programenrollment_unique_key"),
            models.CheckConstraint(
                condition=models.Q(user__isnull=False) | models.Q(external_user_key__isnull=False),
                name="programenrollment_user_or_key",
            ),
        ]
        indexes: ClassVar = [
            models.Index("program_uuid", FoldedKey("external_user_key"), name="programenrollment_folded_key"),
        ]

    def __str__(self) -> str:
        return f"program enrollment {self.pk} in {self.program_uuid}"


class ProgramCourseEnrollment(TimeStampedModel):
    """A course run inside a program enrollment: waiting until it points at a course enrollment, then realized."""

    class Status(models.TextChoices):
        """Whether the learner takes part in the course run."""

        ACTIVE = "active"
        INACTIVE = "inactive"

    program_enrollment = models.ForeignKey(
        ProgramEnrollment, models.CASCADE, related_name="program_course_enrollments", db_index=False
    )
    course_enrollment = models.ForeignKey(CourseEnrollment, models.CASCADE, null=True, blank=True)
    course_key = CourseKeyField(max_length=255, case_sensitive=True)
    status = models.CharField(max_length=9, choices=Status, default=Status.ACTIVE)

    class Meta:
        db_table = "program_enrollments_programcourseenrollment"
        constraints: ClassVar = [
            unique("program_enrollment", "course_key", name="programcourseenrollment_unique_course")
        ]

    def __str__(self) -> str:
        return f"{self.course_key} of program enrollment {self.program_enrollment_id}"


class CourseAccessRoleAssignment(TimeStampedModel):
    """A course role assigned in advance: granted when the program enrollment is linked."""

    class Role(models.TextChoices):
        """The roles that may be assigned in advance."""

        STAFF = "staff"

    role = models.CharField(max_length=64, choices=Role)
    enrollment = models.ForeignKey(ProgramCourseEnrollment, models.CASCADE)

    class Meta:
        db_table = "program_enrollments_courseaccessroleassignment"
        constraints: ClassVar = [unique("role", "enrollment", name="courseaccessroleassignment_unique")]

    def __str__(self) -> str:
        return f"{self.role} for program course enrollment {self.enrollment_id}"
