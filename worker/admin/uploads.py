"""The form by which a mapping comes in as a file; it is read from memory and kept nowhere but in the ledger."""

import io
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from django import forms

from worker.imports.rows import AS_TEXT, KEY, PROGRAM, USERNAME, Fault, read_rows
from worker.jobs.request import LinkRequest, parse_link_request

if TYPE_CHECKING:
    from django.core.files.uploadedfile import UploadedFile

MOST_FAULTS = 20
"""Faults of a file that are told."""


class UploadForm(forms.Form):
    """A CSV file, and the program if the file does not name it.

    Attributes:
        orders: those of a valid form, each a dry run for one program, by the id of its job.
        source: the file's name.
    """

    upload_id = forms.UUIDField(widget=forms.HiddenInput)
    file = forms.FileField(
        label="CSV file",
        help_text=f"UTF-8, with the columns {KEY} and {USERNAME}, and {PROGRAM} unless it is given here.",
        error_messages={"required": "Choose a file of at most 16 MiB; the inbox takes larger ones."},
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}),
    )
    program_uuid = forms.UUIDField(
        label="Program UUID",
        required=False,
        help_text=f"Needed if the file has no column {PROGRAM}.",
        widget=forms.TextInput(attrs={"size": 40}),
    )
    orders: dict[UUID, LinkRequest]
    source: str

    def clean(self) -> dict[str, Any]:
        """Read the file to its end."""
        given = super().clean() or {}
        file: UploadedFile[bytes] | None = given.get("file")
        if file is None or self.errors:
            return given
        self.source = PurePath(file.name or "upload.csv").name[:255]
        mappings, faults = _read(file.read(), given.get("program_uuid"))
        if not mappings and not faults:
            faults = [Fault(None, "there is no learner in it: give one row to each.")]
        try:
            self.orders = {
                uuid5(given["upload_id"], program): parse_link_request((program, mapping), {"dry_run": True})
                for program, mapping in mappings.items()
            }
        except ValueError as error:
            faults.append(Fault(None, str(error)))
        for fault in faults[:MOST_FAULTS]:
            self.add_error("file", f"{self.source}, {fault}" if fault.line else f"{self.source}: {fault}")
        if len(faults) > MOST_FAULTS:
            self.add_error("file", f"and {len(faults) - MOST_FAULTS:,} more.")
        return given


def _read(content: bytes, program: UUID | None) -> tuple[dict[str, dict[str, str]], list[Fault]]:
    """Return a mapping for each program of a file, and what is wrong with it."""
    mappings: dict[str, dict[str, str]] = {}
    faults: list[Fault] = []
    file = io.TextIOWrapper(io.BytesIO(content), **AS_TEXT)
    for row in read_rows(file, (KEY, USERNAME) if program else (PROGRAM, KEY, USERNAME)):
        if isinstance(row, Fault):
            faults.append(row)
            continue
        named = row.program or ""
        try:
            wanted = str(UUID(named.strip()) if row.program is not None else program)
        except ValueError:
            faults.append(Fault(row.line, f"{PROGRAM} is {named[:100]!r}, which is no UUID."))
            continue
        if program is not None and wanted != str(program):
            faults.append(Fault(row.line, f"{PROGRAM} is {named!r}, not {program}: leave the field empty, or mend it."))
        mapping = mappings.setdefault(wanted, {})
        if row.key in mapping:
            faults.append(Fault(row.line, f"external user key {row.key} provided multiple times: keep one of them."))
        mapping[row.key] = row.username
    return mappings, faults
