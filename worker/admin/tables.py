"""The tables of linking in the admin, read-only: the LMS owns their rows."""

from functools import cached_property
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.core.paginator import Paginator
from django_celery_results import admin as results
from django_celery_results.models import GroupResult, TaskResult


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg] # Not generic at run time.
    """A table whose rows nobody can add, change or delete here, not even a superuser."""

    actions = None
    show_full_result_count = False

    def _deny(self, *_: object, **__: object) -> bool:
        return False

    has_add_permission = has_change_permission = has_delete_permission = _deny


class BoundedPaginator(Paginator):  # type: ignore[type-arg] # Not generic at run time.
    """Pages over the first MAX_ROWS rows: counting millions of rows takes seconds."""

    MAX_ROWS = 10_000

    @cached_property
    def count(self) -> int:
        """Return the number of rows, at most MAX_ROWS."""
        rows: Any = self.object_list  # The admin passes querysets.
        count: int = rows.order_by()[: self.MAX_ROWS].count()
        return count


class TableAdmin(ReadOnlyAdmin):
    """A table with millions of rows: they are found by exact values of indexed columns."""

    paginator = BoundedPaginator
    list_per_page = 50
    ordering = ("-pk",)
    search_help_text = "An external user key, LMS username or course id (exact match)."


SEARCH_FIELDS = {
    "programenrollment": ("external_user_key__exact", "user__username__exact"),
    "programcourseenrollment": ("program_enrollment__external_user_key__exact",),
    "courseenrollment": ("user__username__exact",),
    "courseaccessrole": ("user__username__exact",),
    "courseoverview": ("id__exact", "display_name"),
    "coursemode": ("course__id__exact",),
}
"""Columns that the search of a table compares, by the name of its model."""

for model in apps.get_app_config("linking").get_models():
    fields = model._meta.fields  # noqa: SLF001 - Django's documented API
    admin.site.register(
        model,
        TableAdmin,
        # Users by name; other rows by their keys, without a query for each.
        list_display=[field.name if field.name == "user" else field.attname for field in fields],
        list_select_related=[field.name for field in fields if field.name == "user"],
        list_filter=[field.name for field in fields if field.name in {"status", "is_active"}],
        search_fields=SEARCH_FIELDS.get(model._meta.model_name or "", ()),  # noqa: SLF001 - as above
    )


class TaskResultAdmin(ReadOnlyAdmin, results.TaskResultAdmin):
    """Results of tasks: one for each message, so that the usual filters and searches would read millions of rows."""

    ordering = ("-date_done",)
    search_help_text = "A task id (exact match)."
    paginator = BoundedPaginator

    def get_search_fields(self, _: object) -> list[str]:
        return ["task_id__exact"]

    def get_list_filter(self, _: object) -> list[Any]:
        return ["date_done"]


admin.site.unregister((TaskResult, GroupResult))  # No task of ours stores a group's.
admin.site.register(TaskResult, TaskResultAdmin, date_hierarchy=None)
