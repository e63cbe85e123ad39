"""An inbox in this process: files are claimed, their jobs run, and the files finished."""

from collections.abc import Mapping
from pathlib import Path

from tests.support.inbox_files import read_csv, write_file
from tests.support.jobs import run
from worker.imports import folder as inbox_folder
from worker.imports import inbox
from worker.models import InboxFile, LinkingJob


def drop(folder: Path, name: str, *mappings: Mapping[str, str]) -> Path:
    """Drop a file with a mapping of one program, or of two."""
    return write_file(folder / name, *mappings)


def claim_files(folder: Path, *, force: bool = False) -> list[InboxFile]:
    settled = inbox_folder.list_inbox(folder).settled
    return list(inbox.claim_files(folder, settled, force=force))


def run_jobs() -> None:
    for job in LinkingJob.objects.filter(state="received"):
        run(job)


def advance_files(folder: Path) -> list[InboxFile]:
    """Advance the claimed files, leased or not."""
    InboxFile.objects.update(leased=None)
    return list(inbox.advance_files(folder))


def run_import(folder: Path, *, force: bool = False) -> list[InboxFile]:
    """Claim the files in the inbox, run their jobs and finish the files; return the claimed files."""
    files = claim_files(folder, force=force)
    run_jobs()
    advance_files(folder)
    return files


def report_of(folder: Path, name: str) -> list[dict[str, str]]:
    return read_csv(folder / "done" / f"{name}.report.csv")


def errors_of(folder: Path, name: str) -> str:
    return (folder / "rejected" / f"{name}.errors.txt").read_text()
