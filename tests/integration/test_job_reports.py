"""Every report is read again by every import: the same learners, and no cell that a spreadsheet runs."""

import csv
import re
from io import BytesIO, StringIO
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils.datastructures import MultiValueDict
from hypothesis import given
from hypothesis import strategies as st

from linking.keys import fold_key
from tests.support.ids import PROGRAM
from tests.support.jobs import run_job, submit
from tests.support.worlds.examples import random_worlds
from worker.admin.uploads import UploadForm
from worker.formulas import FORMULA
from worker.imports.import_file import ImportFile
from worker.imports.lines import as_text
from worker.imports.rows import read_mappings
from worker.jobs.reports import report_lines, write_import_report, write_report

LETTERS = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
TEXTS = (st.text(LETTERS, min_size=1) | st.text("'=-+@＝ ;,\"\t\r\n1a", min_size=1)).map(str.strip).filter(bool)
ENTRIES = st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4, unique_by=lambda entry: fold_key(entry[0]))
MAPPINGS = ENTRIES.map(dict)


def read(report: str) -> dict[str, str]:
    mappings = {PROGRAM: dict[str, str]()}
    assert list(read_mappings(as_text(BytesIO(report.encode())), mappings, PROGRAM, "")) == []
    return mappings[PROGRAM]


@random_worlds(100)
@given(mapping=MAPPINGS)
def test_the_learners_of_a_report_are_those_of_its_job(tmp_path: Path, mapping: dict[str, str]) -> None:
    job, of_job, of_file = submit(mapping), StringIO(newline=""), StringIO(newline="")
    write_report(job.pk, of_job)
    write_import_report([job], of_file)
    path = tmp_path / "report.csv"
    path.write_text(of_file.getvalue(), encoding="utf-8", newline="")

    assert read(of_job.getvalue()) == read("".join(report_lines(job.pk))) == mapping
    with ImportFile(path) as file:
        assert {it.external_user_key: it.lms_username for it in file.learners(PROGRAM)} == mapping
    form = UploadForm(
        {"upload_id": str(job.pk)}, MultiValueDict({"file": [SimpleUploadedFile("report.csv", path.read_bytes())]})
    )
    assert form.is_valid(), form.errors
    (request,) = form.requests.values()
    assert [(it.external_user_key, it.lms_username) for it in request.learners] == [*mapping.items()]


@pytest.mark.parametrize("text", ["=HYPERLINK(A1)", "+1", "-1", "@SUM(A1)", "a\t=1", "a\r=1", "a;=1"])
def test_no_cell_of_a_report_is_run_by_a_spreadsheet(text: str) -> None:
    report = StringIO(newline="")

    write_report(run_job({text: text}).pk, report)

    _, row = csv.reader(StringIO(report.getvalue(), newline=""))
    assert [cell.replace("'", "") for cell in row[1:3]] == [text] * 2
    assert not any(re.match(rf"\s*{FORMULA}", part) for cell in row for part in re.split(r"[;\t\r\n]", cell))
