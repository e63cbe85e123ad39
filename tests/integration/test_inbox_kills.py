"""kill -9 at every line of importing a file, and many processes at once: each file is imported once, none is lost."""

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import pytest
from django.conf import LazySettings
from django.db import connection

from linking.bulk import Learner
from tests.support.ids import PROGRAM
from tests.support.inbox_files import HEADER, files_in, imported, outcomes_in, rejected, write_file
from tests.support.jobs import run
from tests.support.killed import KILLED, SURVIVED, work_through
from tests.support.populations import add_learners
from tests.support.waiting import wait_until
from worker.imports import folder as inbox_folder
from worker.imports import inbox
from worker.imports.import_file import ImportFile
from worker.models import InboxFile, LearnerOutcome, LinkingJob

TRACED = tuple(f"worker{os.sep}imports{os.sep}{name}.py" for name in ("folder", "inbox", "submission"))


@pytest.fixture
def folder(
    tmp_path: Path, settings: LazySettings, monkeypatch: pytest.MonkeyPatch, transactional_db: None, database_url: str
) -> Path:
    """An inbox that other processes work through as well."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("LINKING_INBOX", str(tmp_path))
    monkeypatch.setattr(inbox_folder, "SETTLE_SECONDS", 0.0)
    settings.LINKING_INBOX = tmp_path
    settings.LINKING_STALL_AFTER = 0  # A lease does not outlive its process.
    connection.close()
    return inbox_folder.prepare_inbox()


def heal(folder: Path) -> None:
    """Do the work that beat schedules, until nothing is left to do."""

    def nothing_left() -> bool:
        settled = inbox_folder.list_inbox(folder).settled
        list(inbox.claim_files(folder, settled))
        for job in LinkingJob.objects.filter(state__in=["received", "running"]):
            run(job)
        list(inbox.advance_files(folder))
        return not any(path.is_file() for path in [*folder.glob("*.csv"), *folder.glob("taken/*")])

    wait_until(nothing_left, "the inbox is empty")  # A server takes its time to notice that a client was killed.


def test_a_process_may_be_killed_at_any_line(folder: Path) -> None:
    """For each of many lines, a file to import and one to reject: the next process finishes what a killed one began.

    A step of the inbox is several lines long; of five lines, PostgreSQL has one and SQLite another.
    """
    first, step = (1, 5) if connection.vendor == "postgresql" else (3, 5)
    mappings, bad, line, ended = {}, set(), first - step, KILLED
    while ended == KILLED:
        line += step
        mapping = mappings[f"good-{line}.csv"] = add_learners(2)
        write_file(folder / f"good-{line}.csv", mapping)
        bad.add(f"bad-{line}.csv")
        (folder / f"bad-{line}.csv").write_text(f"{HEADER}{PROGRAM},s-{line},\n")

        (ended,) = work_through(folder, TRACED, line)

        heal(folder)

    assert ended == SURVIVED
    assert line > 150
    assert files_in(folder) == imported(*mappings) | rejected(*bad)
    closed = InboxFile.objects.filter(state__in=["done", "rejected"])  # A row without its file stays for an hour.
    assert Counter(closed.values_list("name", "state")) == Counter(
        [(name, "done") for name in mappings] + [(name, "rejected") for name in bad]
    )
    assert LinkingJob.objects.count() == len(mappings)
    outcomes = Counter(LearnerOutcome.objects.values_list("external_user_key", "outcome"))
    assert outcomes == Counter((key, "linked") for mapping in mappings.values() for key in mapping)
    for name, mapping in mappings.items():
        assert outcomes_in(folder / "done" / f"{name}.report.csv") == [(key, "linked") for key in mapping]


def test_many_processes_at_once_import_each_file_once(folder: Path) -> None:
    mappings = {f"{n}.csv": add_learners(2) for n in range(24)}
    for name, mapping in mappings.items():
        write_file(folder / name, mapping)
    connection.close()

    ended = work_through(folder, processes=4)

    heal(folder)  # The last process may have skipped a file that another one had just skipped, too.
    assert ended == [SURVIVED] * 4
    assert files_in(folder) == imported(*mappings)
    assert Counter(InboxFile.objects.values_list("name", "state")) == Counter((name, "done") for name in mappings)
    assert Counter(LinkingJob.objects.values_list("source", "counts__linked")) == Counter((it, 2) for it in mappings)
    outcomes = LearnerOutcome.objects.values_list("external_user_key", "outcome", "attempts")
    assert Counter(outcomes) == Counter((key, "linked", 1) for mapping in mappings.values() for key in mapping)


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one lock for everything")
def test_a_file_is_leased_while_its_jobs_are_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_file(folder / "x.csv", add_learners(2))
    learners, others = ImportFile.learners, []

    def advance_meanwhile(file: ImportFile, program: UUID) -> Iterator[Learner]:
        for learner in learners(file, program):
            with ThreadPoolExecutor(1) as thread:
                others.append(thread.submit(advance_elsewhere).result())
            yield learner

    def advance_elsewhere() -> list[InboxFile]:
        try:
            return list(inbox.advance_files(folder))
        finally:
            connection.close()

    monkeypatch.setattr(ImportFile, "learners", advance_meanwhile)

    (file,) = inbox.claim_files(folder, ["x.csv"])

    assert (file.state, others) == ("submitted", [[], []])


def test_many_processes_at_once_run_one_content_once(folder: Path) -> None:
    mapping = add_learners(3)
    for n in range(8):
        write_file(folder / f"{n}.csv", mapping)
    connection.close()

    work_through(folder, processes=4)

    heal(folder)
    assert LinkingJob.objects.get().counts == {"linked": 3}
    assert len(list((folder / "done").glob("?.csv"))) == 1
    assert len(list((folder / "rejected").glob("?.csv"))) == 7
