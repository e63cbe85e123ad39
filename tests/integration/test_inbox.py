"""The inbox: each file is taken up once, and its fate lies in the folder."""

import csv
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

import pytest
from django.conf import LazySettings

from tests.jobs import run
from tests.populations import waiting
from tests.rows import PROGRAM
from worker import inbox
from worker.inbox import ImportOptions
from worker.models import InboxFile, LinkingJob

HEADER = "program_uuid,external_user_key,lms_username\n"

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(tmp_path: Path, settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An inbox whose files are taken to have stopped growing at once."""
    monkeypatch.setattr(inbox, "SETTLED_AFTER", 0.0)
    settings.LINKING_INBOX = tmp_path / "inbox"
    (tmp_path / "inbox").mkdir()
    return inbox.folder()


def drop(folder: Path, name: str, mapping: Mapping[str, str], program: UUID = PROGRAM) -> Path:
    """Drop a file with a mapping of one program."""
    path = folder / name
    path.write_text(HEADER + "".join(f"{program},{key},{username}\n" for key, username in mapping.items()))
    return path


def take_up(folder: Path, options: ImportOptions | None = None) -> list[InboxFile]:
    """Take up what lies in the inbox."""
    settled, _ = inbox.look(folder)
    return list(inbox.take_up(folder, settled, options))


def run_jobs() -> None:
    """Run all open jobs to their end."""
    for job in LinkingJob.objects.filter(state="received"):
        run(job)


def attend(folder: Path) -> list[InboxFile]:
    """Bring on what was taken up, whoever had it in hand."""
    InboxFile.objects.update(attended=None)
    return list(inbox.attend(folder))


def tree(folder: Path) -> set[str]:
    """Return the files in the inbox and its folders."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def report_of(folder: Path, name: str) -> list[dict[str, str]]:
    """Return the rows of a file's report."""
    with (folder / "done" / f"{name}.report.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def errors_of(folder: Path, name: str) -> str:
    """Return what is said of a rejected file."""
    return (folder / "rejected" / f"{name}.errors.txt").read_text()


def test_a_file_becomes_a_job_and_lies_in_done_with_its_report_when_the_job_has_ended(folder: Path) -> None:
    mapping = waiting(3) | {"s-x": "nobody"}
    drop(folder, "x.csv", mapping)

    (file,) = take_up(folder)

    job = LinkingJob.objects.get()
    assert (file.name, file.jobs) == ("x.csv", [str(job.pk)])
    assert (job.program_uuid, job.total, job.source, job.state) == (PROGRAM, 4, "x.csv", "received")
    assert job.options["max_relinks"] == "5%"
    assert tree(folder) == {f"taken/{file.pk}.csv"}

    run_jobs()
    attend(folder)

    assert tree(folder) == {"done/x.csv", "done/x.csv.report.csv"}
    rows = report_of(folder, "x.csv")
    assert [(row["external_user_key"], row["outcome"]) for row in rows] == [
        *((key, "linked") for key in list(mapping)[:3]),
        ("s-x", "no_user"),
    ]
    assert {row["program_uuid"] for row in rows} == {str(PROGRAM)}
