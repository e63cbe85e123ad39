"""The form to upload a mapping as a CSV file. The file stays in memory; only the ledger stores its learners."""

import io
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from django import forms

from worker.imports.rows import AS_TEXT, KEY, PROGRAM, USERNAME, Fault, read_rows, uuid_of
from worker.jobs.request import LinkRequest, parse_link_request

if TYPE_CHECKING:
    from django.core.files.uploadedfile import UploadedFile

MAX_FAULTS = 20
"""Faults of a file that are shown."""


class UploadForm(forms.Form):
    """A CSV file, and the program unless the file has a column for it.

    Attributes:
        requests: of a valid form: a dry run for each program, by the id of its job.
        source: the file's name.
    """

    upload_id = forms.UUIDField(widget=forms.HiddenInput)
    file = forms.FileField(
        label="CSV file",
        help_text=f"UTF-8, with the columns {KEY} and {USERNAME}, and {PROGRAM} unless it is given here.",
        error_messages={"required": "Choose a file of at most 16 MiB; use the inbox for larger ones."},
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}),
    )
    program_uuid = forms.UUIDField(
        label="Program UUID",
        required=False,
        help_text=f"Needed if the file has no column {PROGRAM}.",
        widget=forms.TextInput(attrs={"size": 40}),
    )
    requests: dict[UUID, LinkRequest]
    source: str

    def clean(self) -> dict[str, Any]:
        """Read the file and make its requests, or add its faults to the form."""
        fields = super().clean() or {}
        file: UploadedFile[bytes] | None = fields.get("file")
        if file is None or self.errors:
            return fields
        self.source = PurePath(file.name or "upload.csv").name[:255]
        mappings, faults = _read(file.read(), fields.get("program_uuid"))
        if not mappings and not faults:
            faults = [Fault(None, "there is no learner in it: give one row to each.")]
        try:
            self.requests = {
                uuid5(fields["upload_id"], program): parse_link_request((program, mapping), {"dry_run": True})
                for program, mapping in mappings.items()
            }
        except ValueError as error:
            faults.append(Fault(None, str(error)))
        for fault in faults[:MAX_FAULTS]:
            self.add_error("file", f"{self.source}, {fault}" if fault.line else f"{self.source}: {fault}")
        if len(faults) > MAX_FAULTS:
            self.add_error("file", f"and {len(faults) - MAX_FAULTS:,} more.")
        return fields


def _read(content: bytes, program: UUID | None) -> tuple[dict[str, dict[str, str]], list[Fault]]:
    """Return the mappings of a file by program, and the file's faults."""
    mappings: dict[str, dict[str, str]] = {}
    faults: list[Fault] = []
    file = io.TextIOWrapper(io.BytesIO(content), **AS_TEXT)
    for row in read_rows(file, (KEY, USERNAME) if program else (PROGRAM, KEY, USERNAME)):
        if isinstance(row, Fault):
            faults.append(row)
            continue
        row_program = program if row.program is None else uuid_of(row.program)
        if row_program is None:
            faults.append(Fault(row.line, f"{PROGRAM} is {(row.program or '')[:100]!r}, which is no UUID."))
            continue
        if program not in {None, row_program}:
            text = f"{PROGRAM} is {row.program!r}, not {program}: leave the field empty, or correct it."
            faults.append(Fault(row.line, text))
        mapping = mappings.setdefault(str(row_program), {})
        if row.key in mapping:
            faults.append(Fault(row.line, f"external user key {row.key} provided multiple times: keep one of them."))
        mapping[row.key] = row.username
    return mappings, faults
