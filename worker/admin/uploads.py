"""The form to upload a mapping as a CSV file. The file stays in memory; only the ledger stores its learners."""

import io
from pathlib import PurePath
from typing import Any
from uuid import UUID, uuid4, uuid5

from django import forms
from django.conf import settings

from worker.admin.programs import ProgramField, ProgramInput
from worker.imports.faults import KEY, PROGRAM, USERNAME, Fault
from worker.imports.lines import as_text
from worker.imports.rows import read_mappings
from worker.jobs.request import LinkRequest, parse_link_request

MAX_FAULTS = 20
"""Faults of a file that are shown."""
MAX_PROGRAMS = 100
"""Maximum programs in a file: each becomes a job, and the browser waits until all are submitted."""


class UploadForm(forms.Form):
    """A CSV file, and the program unless the file has a column for it."""

    upload_id = forms.UUIDField(initial=uuid4, widget=forms.HiddenInput)
    file = forms.FileField(
        label="CSV file",
        help_text=f"UTF-8, with the columns {KEY} and {USERNAME}, and {PROGRAM} unless it is given here.",
        error_messages={"required": "Choose a file of at most 16 MiB; use the inbox for larger ones."},
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}),
    )
    program_uuid = ProgramField(
        label="Program",
        required=False,
        help_text=f"Choose one of the list, or give its name or UUID. Needed if the file has no column {PROGRAM}.",
        widget=ProgramInput(attrs={"size": 40}),
    )
    requests: dict[UUID, LinkRequest]  # Of a valid form: a dry run for each program, by the id of its job.
    source: str  # The file's name.

    @property
    def chosen(self) -> str:
        """The name of the file that was sent, empty if none was."""
        file = self.files.get("file")
        return PurePath(file.name or "").name if file else ""

    def renew(self) -> None:
        """Give the form, when it is shown again, the id of a new upload."""
        self.data = {"program_uuid": self["program_uuid"].data, "upload_id": str(uuid4())}

    def clean(self) -> dict[str, Any]:
        """Read the file and make its requests, or add its faults to the form."""
        fields = super().clean() or {}
        file = fields.get("file")
        if file is None or self.errors:
            return fields
        self.source = PurePath(file.name or "upload.csv").name[:255]
        content = as_text(io.BytesIO(file.read()))
        mappings: dict[UUID, dict[str, str]] = {}
        hint = "leave the field Program empty, or correct it."
        faults = list(read_mappings(content, mappings, fields.get("program_uuid"), hint))
        if not mappings and not faults:
            faults = [Fault(None, "there is no learner in it: give one row to each.")]
        if len(mappings) > MAX_PROGRAMS:
            text = f"{len(mappings):,} programs, but a page takes {MAX_PROGRAMS:,}: use the inbox, or split the file."
            self.add_error("file", Fault(None, text).in_file(self.source))
            return fields
        most = settings.LINKING_MAX_MAPPING
        for program, mapping in mappings.items():
            if len(mapping) > most:
                text = f"{len(mapping):,} learners of program {program}, but a job takes {most:,}: use the inbox."
                faults.append(Fault(None, text))
        if not faults:
            self.requests = {
                uuid5(fields["upload_id"], str(program)): parse_link_request((str(program), mapping), {"dry_run": True})
                for program, mapping in mappings.items()
            }
        for fault in faults[:MAX_FAULTS]:
            self.add_error("file", fault.in_file(self.source))
        if len(faults) > MAX_FAULTS:
            self.add_error("file", f"and {len(faults) - MAX_FAULTS:,} more.")
        return fields
