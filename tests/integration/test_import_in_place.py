"""A file that is imported where it is: program by program, once, however often its import is interrupted."""

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import pytest
from django.db import connection

from linking.bulk import Learner
from tests.support.ids import OTHER_PROGRAM, PROGRAM
from tests.support.inbox_files import write_file
from tests.support.jobs import run, submit
from tests.support.killed import KILLED, SURVIVED
from tests.support.killed import import_in_place as import_in_processes
from tests.support.populations import add_learners
from worker.imports import folder as inbox_folder
from worker.imports import inbox
from worker.imports.import_file import ImportFile, ImportFileError
from worker.imports.submission import import_in_place
from worker.jobs.imported_rows import settle_program
from worker.models import ImportedRow, InboxFile, LearnerOutcome, LinkingJob, ProgramFile, UnsettledImport

SUBMISSION = f"worker{os.sep}imports{os.sep}submission.py"
ROWS = (SUBMISSION, f"worker{os.sep}jobs{os.sep}imported_rows.py")


@pytest.fixture(autouse=True)
def processes(transactional_db: None, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes of their own use the test database, too."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    connection.close()


def run_jobs() -> None:
    for job in LinkingJob.objects.filter(state="received"):
        run(job)


def test_a_process_may_be_killed_at_any_line(tmp_path: Path) -> None:
    learners: dict[str, str] = {}
    line, step, ended = -1, 3, KILLED
    interrupted = 0
    while ended == KILLED:
        line += step
        ours, theirs = add_learners(2), add_learners(1, OTHER_PROGRAM)
        path = write_file(tmp_path / f"{line}.csv", ours, theirs)
        learners |= ours | theirs

        (ended,) = import_in_processes(path, (SUBMISSION,), line)

        interrupted += InboxFile.objects.filter(state="in place").exists()
        if ended == KILLED and not InboxFile.objects.filter(name=path.name, state="done").exists():
            import_in_place(path)
        run_jobs()

    assert ended == SURVIVED
    assert interrupted > 5
    files = InboxFile.objects.all()
    assert {(file.state, len(file.jobs)) for file in files} == {("done", 2)}
    assert LinkingJob.objects.count() == 2 * len(files)
    outcomes = Counter(LearnerOutcome.objects.values_list("external_user_key", "outcome"))
    assert outcomes == Counter((key, "linked") for key in learners)


def test_a_process_that_is_killed_in_diff_mode_leaves_no_row_skipped_that_was_not_submitted(tmp_path: Path) -> None:
    mapping = add_learners(4)
    import_in_place(write_file(tmp_path / "0.diff.csv", mapping))
    run_jobs()
    line, step, ended = -1, 29, KILLED
    killed_before_the_end = 0
    while ended == KILLED:
        line += step
        mapping |= {"s-0": f"missing-{line}", **add_learners(1)}
        path = write_file(tmp_path / f"{line}.diff.csv", mapping)

        (ended,) = import_in_processes(path, ROWS, line)

        submitted = LinkingJob.objects.filter(source=path.name)
        assert UnsettledImport.objects.filter(pk__in=submitted.values("pk")).count() == submitted.count()
        if not InboxFile.objects.filter(name=path.name, state="done").exists():
            killed_before_the_end += 1
            import_in_place(path)
        (job,) = LinkingJob.objects.filter(source=path.name)
        assert (job.total, job.options["skipped"]) == (2, len(mapping) - 2)
        run_jobs()

    assert ended == SURVIVED
    assert killed_before_the_end > 3
    settle_program(PROGRAM)
    assert ImportedRow.objects.count() == ProgramFile.objects.get().total - 1  # The user of s-0 is missing.


def test_several_processes_that_import_one_file_at_once_import_it_once(tmp_path: Path) -> None:
    path = write_file(tmp_path / "x.csv", add_learners(2), add_learners(2, OTHER_PROGRAM))

    import_in_processes(path, processes=3)

    run_jobs()
    assert InboxFile.objects.get().state == "done"
    assert [job.counts for job in LinkingJob.objects.all()] == [{"linked": 2}] * 2


def interrupt(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt the import of a file before its second program."""
    read = ImportFile.learners

    def learners(file: ImportFile, program: UUID) -> Iterator[Learner]:
        if program == PROGRAM:
            raise KeyboardInterrupt
        return read(file, program)

    monkeypatch.setattr(ImportFile, "learners", learners)
    with pytest.raises(KeyboardInterrupt):
        import_in_place(path)
    monkeypatch.setattr(ImportFile, "learners", read)


def test_an_interrupted_import_is_continued_only_with_the_same_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_file(tmp_path / "x.csv", add_learners(1), add_learners(1, OTHER_PROGRAM))
    interrupt(path, monkeypatch)
    begun = LinkingJob.objects.get()
    assert begun.program_uuid == OTHER_PROGRAM

    with pytest.raises(ImportFileError) as refused:
        import_in_place(path, max_relinks=1)

    (fault,) = refused.value.faults
    assert "began to import the same content as x.csv on" in str(fault)
    assert "if it was interrupted, repeat it with the same options, and it submits the rest." in str(fault)
    file = import_in_place(path)
    assert str(begun.pk) in file.jobs
    assert set(LinkingJob.objects.values_list("program_uuid", flat=True)) == {OTHER_PROGRAM, PROGRAM}
    assert LinkingJob.objects.count() == 2
    assert len(import_in_place(path, force=True).jobs) == 2
    assert LinkingJob.objects.count() == 4


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one lock for everything")
@pytest.mark.parametrize("is_dropped", [False, True], ids=["in place", "in the inbox"])
def test_while_a_program_is_submitted_jobs_of_the_others_of_its_file_are_submitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_dropped: bool
) -> None:
    path = write_file(tmp_path / "x.csv", add_learners(1), add_learners(1, OTHER_PROGRAM))
    others = {PROGRAM: OTHER_PROGRAM, OTHER_PROGRAM: PROGRAM}
    read, submitted = ImportFile.learners, []

    def learners(file: ImportFile, program: UUID) -> Iterator[Learner]:
        with ThreadPoolExecutor(1) as thread:
            submitted.append(thread.submit(submit_elsewhere, others[program]).result())
        return read(file, program)

    def submit_elsewhere(program: UUID) -> UUID:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '2s'")
            return submit({"s-0": "somebody"}, program).program_uuid
        finally:
            connection.close()

    monkeypatch.setattr(ImportFile, "learners", learners)

    if is_dropped:
        monkeypatch.setattr(inbox_folder, "SETTLE_SECONDS", 0.0)
        for name in ("taken", "done", "rejected"):
            (tmp_path / name).mkdir()
        (file,) = inbox.claim_files(tmp_path, ["x.csv"])
        assert file.state == "submitted"
    else:
        import_in_place(path)

    assert sorted(submitted) == [OTHER_PROGRAM, PROGRAM]
