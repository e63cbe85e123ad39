"""Programs by name: the names that operators give them, and the list of programs to choose from in forms."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin

from linking.bulk import program_uuids
from worker.models import ProgramName

MAX_PROGRAMS = 500
"""Most programs that a form lists; any other can be typed."""


def names_by_program(programs: Iterable[UUID]) -> dict[UUID, str]:
    """Return the names of those of some programs that have one, in one query."""
    return dict(ProgramName.objects.filter(pk__in=set(programs)).values_list("pk", "name"))


class ProgramInput(forms.TextInput):
    """A field for a program with a list to choose from: programs with a name, then others that have enrollments."""

    template_name = "admin/worker/program_input.html"

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, {**(attrs or {}), "list": f"{name}_list"})
        named = dict(ProgramName.objects.order_by("name").values_list("pk", "name"))
        others = [uuid for uuid in program_uuids(MAX_PROGRAMS) if uuid not in named]
        # The value, and the text beside it.
        context["programs"] = [(text, uuid) for uuid, text in named.items()] + [(uuid, "") for uuid in others]
        return context


class ProgramField(forms.UUIDField):
    """A program: one of the list, by its name without regard to case, or by its UUID."""

    widget = ProgramInput
    default_error_messages = {  # noqa: RUF012 - Django's way
        "invalid": "There is no program of this name: choose one of the list, or give its UUID."
    }

    def to_python(self, value: Any) -> Any:
        """Return the program's UUID, None for an empty field."""
        text = str(value or "").strip()
        named = ProgramName.objects.filter(name__iexact=text).first() if text else None
        return named.pk if named else super().to_python(text)


class ProgramNameForm(forms.ModelForm):  # type: ignore[type-arg] # Not generic at run time.
    """The name of a program."""

    program_uuid = forms.UUIDField(label="Program UUID", widget=ProgramInput(attrs={"size": 40}))


@admin.register(ProgramName)
class ProgramNameAdmin(admin.ModelAdmin):  # type: ignore[type-arg] # Not generic at run time.
    """Names of programs: the only table of the worker that is written by hand."""

    form = ProgramNameForm
    list_display = ("name", "program_uuid")
    ordering = ("name",)
    search_fields = ("name",)

    def get_readonly_fields(self, _: Any, obj: ProgramName | None = None) -> tuple[str, ...]:
        """Return the UUID for a name that exists: another UUID would be another row."""
        return ("program_uuid",) if obj else ()
