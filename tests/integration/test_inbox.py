"""The inbox: which files are claimed, the result of each, and where its files are afterwards."""

import os
import re
import time
from datetime import timedelta
from io import StringIO
from pathlib import Path
from uuid import UUID

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.utils import timezone

from tests.support.ids import OTHER_PROGRAM, PROGRAM
from tests.support.inbox import advance_files, claim_files, drop, errors_of, report_of, run_import, run_jobs
from tests.support.inbox_files import files_in, imported, rejected
from tests.support.malformed import MALFORMED, permissions_hold
from tests.support.populations import add_learners
from worker import jobs
from worker.exceptions import InboxError
from worker.imports import folder as inbox_folder
from worker.imports import inbox
from worker.imports.folder import write_atomically
from worker.imports.submission import jobs_of, renew_lease
from worker.models import InboxFile, LearnerOutcome, LinkingJob
from worker.tasks import import_inbox


def test_a_file_becomes_a_job_and_lies_in_done_with_its_report_when_the_job_has_ended(folder: Path) -> None:
    mapping = add_learners(3) | {"s-x": "nobody"}
    drop(folder, "x.csv", mapping)

    (file,) = claim_files(folder)

    job = LinkingJob.objects.get()
    assert (file.name, file.jobs) == ("x.csv", [str(job.pk)])
    assert (job.program_uuid, job.total, job.source, job.state) == (PROGRAM, 4, "x.csv", "received")
    assert job.options["max_relinks"] == "5%"
    assert files_in(folder) == {f"taken/{file.pk}.csv"}

    run_jobs()
    advance_files(folder)

    assert files_in(folder) == imported("x.csv")
    rows = report_of(folder, "x.csv")
    outcomes = {row["external_user_key"]: row["outcome"] for row in rows}
    assert [*outcomes.items()] == [*(dict.fromkeys(mapping, "linked") | {"s-x": "no_user"}).items()]
    assert {row["program_uuid"] for row in rows} == {str(PROGRAM)}


def test_each_program_of_a_file_becomes_a_job_and_all_are_in_one_report(folder: Path) -> None:
    ours, theirs = add_learners(2), add_learners(2, OTHER_PROGRAM)
    drop(folder, "x.csv", ours, theirs)

    (file,) = run_import(folder)

    by_program = {job.program_uuid: job for job in jobs_of(file)}
    assert [by_program[program].counts for program in (PROGRAM, OTHER_PROGRAM)] == [{"linked": 2}] * 2
    rows = report_of(folder, "x.csv")
    assert [(row["program_uuid"], row["position"], row["external_user_key"]) for row in rows] == [
        (str(program), str(position), key)
        for program, mapping in ((OTHER_PROGRAM, theirs), (PROGRAM, ours))
        for position, key in enumerate(mapping, start=1)
    ]


def test_malformed_files_are_rejected_one_by_one_and_the_others_are_imported(folder: Path) -> None:
    for name, malformed in MALFORMED.items():
        malformed.write(folder / name)
    drop(folder, "good-1.csv", add_learners(2))
    drop(folder, "a-good-2.csv", add_learners(2))

    with permissions_hold():
        claim_files(folder)

    assert set(LinkingJob.objects.values_list("source", "total")) == {("good-1.csv", 2), ("a-good-2.csv", 2)}
    assert LearnerOutcome.objects.count() == 4
    assert {f"rejected/{path.name}" for path in (folder / "rejected").iterdir()} == rejected(*MALFORMED)
    for name, malformed in MALFORMED.items():
        summary, nothing, fault, *_ = errors_of(folder, name).splitlines()
        assert summary.startswith(f"{name} was not imported, nothing of it was linked: ")
        assert nothing == ""
        assert fault.startswith(malformed.fault)
    assert len(list((folder / "taken").iterdir())) == 2


def test_a_file_that_grows_is_left_until_it_has_stopped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = drop(folder, "grows.csv", add_learners(1))
    drop(folder, "settled.csv", add_learners(1))
    monkeypatch.setattr(time, "sleep", lambda _: path.write_text(path.read_text() + f"{PROGRAM},s-x,u-x\n"))

    assert inbox_folder.list_inbox(folder) == (["settled.csv"], ["grows.csv"], {})

    monkeypatch.undo()
    monkeypatch.setattr(inbox_folder, "SETTLE_SECONDS", 0.0)
    assert inbox_folder.list_inbox(folder) == (["grows.csv", "settled.csv"], [], {})


def test_a_file_that_grows_after_it_was_claimed_is_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mapping = add_learners(3)
    path = drop(folder, "x.csv", mapping)
    *first, last = path.read_text().splitlines(keepends=True)
    path.write_text("".join(first))
    writer = path.open("a")

    def grow(file: InboxFile) -> None:
        renew_lease(file)
        if not writer.closed:
            writer.write(last)
            writer.close()

    monkeypatch.setattr(inbox, "renew_lease", grow)  # It is called while the file is read.
    (file,) = claim_files(folder)
    assert (file.state, LinkingJob.objects.count()) == ("taken", 0)

    (file,) = advance_files(folder)

    assert (file.state, LinkingJob.objects.get().total) == ("submitted", 3)


def test_nothing_in_done_is_ever_overwritten(folder: Path) -> None:
    for _ in range(3):
        drop(folder, "x.csv", add_learners(1))
        claim_files(folder)
    (folder / "done" / "x.2.csv").write_text("somebody else's")
    run_jobs()

    advance_files(folder)

    assert files_in(folder) == imported("x.csv", "x.3.csv", "x.4.csv") | {"done/x.2.csv"}
    assert (folder / "done" / "x.2.csv").read_text() == "somebody else's"


@pytest.mark.parametrize("name", ["ü" * 125 + ".csv", "a\nb [bold].csv", os.fsdecode(b"caf\xe9.csv")])
def test_names_of_every_kind_are_imported(folder: Path, name: str) -> None:
    drop(folder, name, add_learners(1))

    (file,) = run_import(folder)

    assert [path.startswith(f"done/{name[0]}") for path in files_in(folder)] == [True] * 2
    assert LinkingJob.objects.get().source == file.name


def test_a_file_is_not_done_before_all_its_jobs_are(folder: Path) -> None:
    drop(folder, "x.csv", add_learners(2))
    (file,) = claim_files(folder)

    assert advance_files(folder) == []

    jobs.cancel(UUID(file.jobs[0]))
    assert advance_files(folder) == []  # Its result has not been sent.
    jobs.finish(UUID(file.jobs[0]), notify=lambda _job, _errors: None)
    assert [file.state for file in advance_files(folder)] == ["done"]
    assert [row["outcome"] for row in report_of(folder, "x.csv")] == ["cancelled"] * 2


def test_a_leased_file_is_advanced_only_when_its_lease_has_ended(folder: Path, settings: LazySettings) -> None:
    drop(folder, "x.csv", add_learners(1))
    (file,) = claim_files(folder)
    run_jobs()
    InboxFile.objects.update(leased=timezone.now())

    assert list(inbox.advance_files(folder)) == []

    InboxFile.objects.update(leased=timezone.now() - timedelta(seconds=settings.LINKING_STALL_AFTER + 1))
    assert [it.pk for it in inbox.advance_files(folder)] == [file.pk]


def test_a_row_whose_file_never_came_is_forgotten_after_an_hour(folder: Path) -> None:
    InboxFile.objects.create(name="x.csv", options={"force": False, "max_relinks": None})
    advance_files(folder)
    assert InboxFile.objects.exists()
    InboxFile.objects.update(created=timezone.now() - timedelta(hours=1, minutes=1))

    advance_files(folder)

    assert not InboxFile.objects.exists()


def test_an_error_in_a_file_stops_no_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    drop(folder, "full.csv", add_learners(1))
    drop(folder, "x.csv", add_learners(1))
    names = iter(["full.csv"])

    def write(draft: Path, path: Path) -> object:
        if next(names, None):
            raise OSError(28, "No space left on device")
        return write_atomically(draft, path)

    claim_files(folder)
    run_jobs()
    monkeypatch.setattr(inbox, "write_atomically", write)

    advance_files(folder)
    assert [file.name for file in InboxFile.objects.filter(state="done")] == ["x.csv"]
    assert "file 'full.csv' could not be processed and is retried: OSError: [Errno 28] No space left" in caplog.text
    advance_files(folder)

    assert files_in(folder) == imported("full.csv", "x.csv")


def test_without_an_inbox_the_task_does_nothing_and_preparing_it_is_an_error(
    tmp_path: Path, settings: LazySettings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.LINKING_INBOX = None
    with caplog.at_level("INFO"):
        assert import_inbox() == []
    assert "LINKING_INBOX is not set: there is nothing to import" in caplog.text
    with pytest.raises(InboxError, match=r"^LINKING_INBOX is not set: it names the folder"):
        inbox_folder.prepare_inbox()
    settings.LINKING_INBOX = tmp_path / "gone"
    with pytest.raises(InboxError, match=r"gone' cannot be used: No such file or directory: it must be a folder"):
        inbox_folder.prepare_inbox()


@pytest.mark.parametrize(
    ("args", "error"),
    [
        ("--no-wait --report x.csv", "--no-wait leaves the jobs to the worker: it cannot be combined with --report."),
        ("--report /no/such/folder/x.csv", "--report /no/such/folder/x.csv: there is no folder /no/such/folder."),
        ("--max-relinks many", "max_relinks='many': expected a whole number from 0, a percentage such as '5%'"),
        ("", "LINKING_INBOX is not set"),
    ],
)
def test_the_command_refuses_options_that_cannot_be_used(args: str, error: str) -> None:
    with pytest.raises(CommandError, match=f"^{re.escape(error)}"):
        call_command("import_links", *args.split())


def test_the_command_reports_a_file_that_does_not_exist() -> None:
    errors = StringIO()

    with pytest.raises(CommandError, match="not all of it was imported"):
        call_command("import_links", "/no/such/file.csv", stderr=errors, stdout=StringIO())

    assert "/no/such/file.csv: cannot be read: No such file or directory." in errors.getvalue()
