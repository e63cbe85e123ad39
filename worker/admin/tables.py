"""The tables of linking: what may be edited without breaking what linking has made; the rest to look at."""

from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from linking.models import (
    CourseAccessRole,
    CourseAccessRoleAssignment,
    CourseEnrollment,
    CourseMode,
    CourseOverview,
    ProgramCourseEnrollment,
    ProgramEnrollment,
)

if TYPE_CHECKING:
    TableAdmin = admin.ModelAdmin[Any]
    Pages = Paginator[Any]
else:  # Their types take a parameter, the classes themselves do not.
    TableAdmin, Pages = admin.ModelAdmin, Paginator


class BoundedPaginator(Pages):
    """Pages over the first MOST rows: counting millions takes seconds, and nobody leafs through them."""

    MOST = 10_000

    @cached_property
    def count(self) -> int:
        """Return how many rows there are to leaf through."""
        rows = cast("QuerySet[Any]", self.object_list)  # The admin gives queries.
        return rows.order_by()[: self.MOST].count()


class LinkedTable(TableAdmin):
    """A table with rows by the million: found by exact keys, which have an index.

    ``made_by_linking`` names the columns that only linking may write: others' tables follow from them. ``fixed`` names
    those that tell which row it is, once it is there.
    """

    made_by_linking: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = 50
    ordering = ("-pk",)

    def get_readonly_fields(self, _: HttpRequest, row: Model | None = None) -> tuple[str, ...]:
        """Return the columns that cannot be edited here."""
        return self.made_by_linking + (self.fixed if row is not None else ())


@admin.register(ProgramEnrollment)
class ProgramEnrollmentAdmin(LinkedTable):
    """Program enrollments: their user is changed by linking alone."""

    made_by_linking = ("user",)
    fixed = ("external_user_key", "program_uuid", "curriculum_uuid")
    list_display = ("external_user_key", "user", "program_uuid", "curriculum_uuid", "status", "modified")
    list_select_related = ("user",)
    list_filter = ("status", ("user", admin.EmptyFieldListFilter))
    search_fields = ("external_user_key__exact", "user__username__exact")
    search_help_text = "An external user key or LMS username, exactly."


@admin.register(ProgramCourseEnrollment)
class ProgramCourseEnrollmentAdmin(LinkedTable):
    """Course runs of program enrollments: linking realizes them."""

    made_by_linking = ("course_enrollment",)
    fixed = ("program_enrollment", "course_key")
    raw_id_fields = ("program_enrollment",)
    list_display = ("course_key", "program_enrollment", "status", "course_enrollment")
    list_select_related = ("program_enrollment", "course_enrollment")
    list_filter = ("status",)
    search_fields = ("program_enrollment__external_user_key__exact",)
    search_help_text = "An external user key, exactly."


@admin.register(CourseAccessRoleAssignment)
class CourseAccessRoleAssignmentAdmin(LinkedTable):
    """Roles to be granted when a program enrollment is linked."""

    fixed = ("enrollment",)
    raw_id_fields = ("enrollment",)
    list_display = ("role", "enrollment")
    list_select_related = ("enrollment",)


@admin.register(CourseEnrollment)
class CourseEnrollmentAdmin(LinkedTable):
    """The LMS's own course enrollments."""

    fixed = ("user", "course")
    raw_id_fields = ("user", "course")
    list_display = ("user", "course_id", "mode", "is_active", "created")
    list_select_related = ("user",)
    list_filter = ("is_active",)
    search_fields = ("user__username__exact",)
    search_help_text = "An LMS username, exactly."


@admin.register(CourseAccessRole)
class CourseAccessRoleAdmin(LinkedTable):
    """Course roles that users hold."""

    fixed = ("user", "org", "course_id", "role")
    raw_id_fields = ("user",)
    list_display = ("user", "role", "course_id", "org")
    list_select_related = ("user",)
    search_fields = ("user__username__exact",)
    search_help_text = "An LMS username, exactly."


@admin.register(CourseOverview)
class CourseOverviewAdmin(LinkedTable):
    """Course runs."""

    fixed = ("id",)
    list_display = ("id", "display_name", "org")
    search_fields = ("id__exact", "display_name")


@admin.register(CourseMode)
class CourseModeAdmin(LinkedTable):
    """The tracks of course runs."""

    fixed = ("course",)
    raw_id_fields = ("course",)
    list_display = ("course_id", "mode_slug", "mode_display_name", "expiration_datetime")
    search_fields = ("course__id__exact",)
