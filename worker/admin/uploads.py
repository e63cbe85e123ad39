"""The form by which a mapping comes in as a file; it is read from memory and kept nowhere but in the ledger."""

import csv
import io
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from django import forms

from worker.imports import PROGRAM, read_mapping
from worker.orders import Order, read_order

if TYPE_CHECKING:
    from django.core.files.uploadedfile import UploadedFile


class UploadForm(forms.Form):
    """A CSV file, and the program if the file does not name it; valid, it has an ``order`` for a dry run."""

    job_id = forms.UUIDField(widget=forms.HiddenInput)
    file = forms.FileField(
        label="CSV file",
        help_text="UTF-8, with the columns external_user_key and lms_username; program_uuid if it is not given here.",
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}),
    )
    program_uuid = forms.UUIDField(
        label="Program UUID",
        required=False,
        help_text="Needed if the file has no column program_uuid.",
        widget=forms.TextInput(attrs={"size": 40}),
    )
    order: Order
    source: str

    def clean(self) -> dict[str, Any]:
        """Read the file to its end."""
        given = super().clean() or {}
        uploaded: UploadedFile[bytes] | None = given.get("file")
        if uploaded is None or self.errors:
            return given
        file = _InMemory(uploaded)
        self.source = file.name
        try:
            program = given.get("program_uuid") or _program_of(file)
            self.order = read_order((str(program), read_mapping(cast("Path", file), program)), {"dry_run": True})
        except ValueError as error:
            self.add_error("file", str(error))
        return given


class _InMemory:
    """An uploaded file, with as much of a path as reading it needs."""

    def __init__(self, uploaded: "UploadedFile[bytes]") -> None:
        self.name = PurePath(uploaded.name or "upload.csv").name[:255]
        self._content = uploaded.read()

    def __str__(self) -> str:
        return self.name

    def open(self, **options: Any) -> io.TextIOWrapper:
        return io.TextIOWrapper(io.BytesIO(self._content), **options)


def _program_of(file: _InMemory) -> UUID:
    """Return the program that the file's first learner names."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            first = next(csv.DictReader(lines), {})
        return UUID((first.get(PROGRAM) or "").strip())
    except (ValueError, csv.Error):
        msg = f"{file}: no program UUID in the column {PROGRAM}: give it here, or give each learner that column."
        raise ValueError(msg) from None
