"""The tables of linking in the admin. Columns that linking writes, and those that identify a row, are read-only."""

from functools import cached_property
from typing import Any, cast

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


class BoundedPaginator(Paginator):  # type: ignore[type-arg] # Not generic at run time.
    """Pages over the first MAX_ROWS rows: counting millions of rows takes seconds."""

    MAX_ROWS = 10_000

    @cached_property
    def count(self) -> int:
        """Return the number of rows, at most MAX_ROWS."""
        rows = cast("QuerySet[Any]", self.object_list)  # The admin passes querysets.
        return rows.order_by()[: self.MAX_ROWS].count()


class TableAdmin(admin.ModelAdmin):  # type: ignore[type-arg] # Not generic at run time.
    """A table with millions of rows: they are found by exact values of indexed columns.

    Attributes:
        written_by_linking: columns that only linking may change, since rows of other tables depend on them.
        identity: columns that identify a row, set once when it is added.
    """

    written_by_linking: tuple[str, ...] = ()
    identity: tuple[str, ...] = ()
    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = 50
    ordering = ("-pk",)

    def get_readonly_fields(self, _: HttpRequest, row: Model | None = None) -> tuple[str, ...]:
        """Return the columns that cannot be edited here."""
        return self.written_by_linking + (self.identity if row is not None else ())


SEARCH_BY_USERNAME: dict[str, Any] = {
    "search_fields": ("user__username__exact",),
    "search_help_text": "An LMS username (exact match).",
}
TABLES: dict[type[Model], dict[str, Any]] = {
    ProgramEnrollment: {
        "written_by_linking": ("user",),
        "identity": ("external_user_key", "program_uuid", "curriculum_uuid"),
        "list_display": ("external_user_key", "user", "program_uuid", "curriculum_uuid", "status", "modified"),
        "list_select_related": ("user",),
        "list_filter": ("status", ("user", admin.EmptyFieldListFilter)),
        "search_fields": ("external_user_key__exact", "user__username__exact"),
        "search_help_text": "An external user key or LMS username (exact match).",
    },
    ProgramCourseEnrollment: {
        "written_by_linking": ("course_enrollment",),
        "identity": ("program_enrollment", "course_key"),
        "raw_id_fields": ("program_enrollment",),
        "list_display": ("course_key", "program_enrollment", "status", "course_enrollment"),
        "list_select_related": ("program_enrollment", "course_enrollment"),
        "list_filter": ("status",),
        "search_fields": ("program_enrollment__external_user_key__exact",),
        "search_help_text": "An external user key (exact match).",
    },
    CourseAccessRoleAssignment: {
        "identity": ("enrollment",),
        "raw_id_fields": ("enrollment",),
        "list_display": ("role", "enrollment"),
        "list_select_related": ("enrollment",),
    },
    CourseEnrollment: {
        "identity": ("user", "course"),
        "raw_id_fields": ("user", "course"),
        "list_display": ("user", "course_id", "mode", "is_active", "created"),
        "list_select_related": ("user",),
        "list_filter": ("is_active",),
        **SEARCH_BY_USERNAME,
    },
    CourseAccessRole: {
        "identity": ("user", "org", "course_id", "role"),
        "raw_id_fields": ("user",),
        "list_display": ("user", "role", "course_id", "org"),
        "list_select_related": ("user",),
        **SEARCH_BY_USERNAME,
    },
    CourseOverview: {
        "identity": ("id",),
        "list_display": ("id", "display_name", "org"),
        "search_fields": ("id__exact", "display_name"),
    },
    CourseMode: {
        "identity": ("course",),
        "raw_id_fields": ("course",),
        "list_display": ("course_id", "mode_slug", "mode_display_name", "expiration_datetime"),
        "search_fields": ("course__id__exact",),
    },
}
for model, options in TABLES.items():
    admin.site.register(model, TableAdmin, **options)
