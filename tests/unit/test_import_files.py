"""Files to import: read once, streamed by program, and refused with every fault and its line."""

import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest

from tests.support.malformed import HEADER, MALFORMED, permissions_hold
from worker.imports import import_file as import_files
from worker.imports.import_file import MAX_FAULTS, MAX_PROGRAMS, ImportFile, ImportFileError, UnsettledFileError

PROGRAM = UUID("11111111-1111-4111-8111-111111111111")
OTHER = UUID("22222222-2222-4222-8222-222222222222")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.csv"


def read(path: Path, content: str | bytes) -> dict[UUID, list[tuple[int, str, str]]]:
    """Return what a file holds: position, key and username of each learner, by program."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with ImportFile(path) as file:
        read = {
            program: [(it.position, it.external_user_key, it.lms_username) for it in file.learners(program)]
            for program in file.programs
        }
        assert {program: len(learners) for program, learners in read.items()} == file.programs
    return read


def faults(path: Path, content: str | bytes) -> list[str]:
    """Return the faults of a bad file."""
    with pytest.raises(ImportFileError) as refused:
        read(path, content)
    return [str(fault) for fault in refused.value.faults]


# --- What is read -----------------------------------------------------------------------------------------------------


def test_programs_may_be_mixed_and_keep_the_order_of_the_file(path: Path) -> None:
    rows = f"{PROGRAM},s-2,bob\n{OTHER},s-1,ada\n{PROGRAM},s-1,eve\n{str(OTHER).upper()},s-0,joe\n"

    assert read(path, HEADER + rows) == {
        PROGRAM: [(0, "s-2", "bob"), (1, "s-1", "eve")],
        OTHER: [(0, "s-1", "ada"), (1, "s-0", "joe")],
    }


@pytest.mark.parametrize(
    "content",
    [
        f"\ufeff{HEADER}{PROGRAM},s-1,adä\n",
        f"lms_username,program_uuid,external_user_key\nadä,{PROGRAM},s-1\n",
        f"a,program_uuid,b,external_user_key,lms_username,c\n1,{PROGRAM},2,s-1,adä,\0\n",
        f"program_uuid, external_user_key ,lms_username\r\n {PROGRAM} ,s-1 , adä\r\n\r\n",
        f"program_uuid,external_user_key,lms_username\r{PROGRAM},s-1,adä\r",
        f'"program_uuid","external_user_key","lms_username"\n"{PROGRAM.hex}","s-1","adä"',
    ],
    ids=["BOM", "column order", "extra columns", "blanks and CRLF", "CR of an old Mac", "quoted"],
)
def test_what_spreadsheets_write_is_read(path: Path, content: str) -> None:
    assert read(path, content) == {PROGRAM: [(0, "s-1", "adä")]}


def test_one_key_may_be_in_two_programs_and_in_two_spellings(path: Path) -> None:
    rows = f"{PROGRAM},s-1,ada\n{OTHER},s-1,ada\n{PROGRAM},S-1,bob\n"

    assert read(path, HEADER + rows) == {PROGRAM: [(0, "s-1", "ada"), (1, "S-1", "bob")], OTHER: [(0, "s-1", "ada")]}


def test_the_digest_is_that_of_the_content(path: Path) -> None:
    path.write_text(f"{HEADER}{PROGRAM},s-1,ada\n")

    with ImportFile(path) as file:
        told = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout  # noqa: S607
        assert file.digest == told.split()[0]


# --- What is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_file_is_refused_with_its_fault_and_line(path: Path, name: str) -> None:
    MALFORMED[name].write(path)

    with permissions_hold(), pytest.raises(ImportFileError) as refused:
        ImportFile(path)

    assert str(refused.value.faults[0]).startswith(MALFORMED[name].fault)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (f"{PROGRAM},,ada", "external_user_key is missing: give each learner both columns."),
        (f"{PROGRAM},s-1, ", "lms_username is missing: give each learner both columns."),
        (f"{PROGRAM},s-1", "lms_username is missing: give each learner both columns."),
        (",s-1,ada", "program_uuid is missing."),
        (f"{PROGRAM},s-1,Ada,L.", "more values than the header has columns: quote those with commas."),
        (f'{PROGRAM},"s-1"x,ada', "not CSV: ',' expected after '\"'."),
    ],
)
def test_a_bad_row_is_told_with_its_line(path: Path, row: str, fault: str) -> None:
    assert faults(path, f'{HEADER}{PROGRAM},"s\n0",eve\n\n{row}\n') == [f"line 5: {fault}"]


def test_a_column_that_is_there_twice_is_refused(path: Path) -> None:
    (fault,) = faults(path, f"lms_username,program_uuid,external_user_key,lms_username\na,{PROGRAM},s-1,b\n")

    assert fault == "line 1: the header has lms_username twice: keep one of them."


def test_all_faults_are_told_in_the_order_of_their_lines(path: Path) -> None:
    rows = f"{PROGRAM},s-1,ada\n{PROGRAM},s-1,bob\nx,s-2,eve\n{PROGRAM},,joe\n{PROGRAM},s-1,kim\n"

    told = faults(path, HEADER + rows)

    assert [fault.split(":")[0] for fault in told] == ["line 3", "line 4", "line 5", "line 6"]


def test_a_file_full_of_faults_tells_the_first_hundred_and_that_there_are_more(path: Path) -> None:
    path.write_text(HEADER + f"{PROGRAM},s,\n" * (MAX_FAULTS + 1))

    with pytest.raises(ImportFileError, match=r"^more than 100 faults, the first in line 2$") as refused:
        ImportFile(path)

    assert (len(refused.value.faults), refused.value.more) == (MAX_FAULTS, True)


def test_the_summary_of_the_faults_names_nobody(path: Path) -> None:
    path.write_text(f"{HEADER}{PROGRAM},secret,ada\n{PROGRAM},secret,bob\n")

    with pytest.raises(ImportFileError, match=r"^1 fault, the first in line 3$"):
        ImportFile(path)


def test_more_programs_than_anybody_has_are_refused(path: Path) -> None:
    rows = "".join(f"{UUID(int=n)},s-1,ada\n" for n in range(MAX_PROGRAMS + 1))

    assert faults(path, HEADER + rows) == [f"line {MAX_PROGRAMS + 2}: more than 1,000 programs: split the file."]


def test_a_link_is_not_followed(path: Path) -> None:
    target = path.with_name("target.csv")
    target.write_text(f"{HEADER}{PROGRAM},s-1,ada\n")
    path.symlink_to(target)

    with pytest.raises(ImportFileError) as refused:
        ImportFile(path)

    assert str(refused.value.faults[0]) == "is a symbolic link: drop the file itself."


def test_a_named_pipe_is_not_waited_for(path: Path) -> None:
    os.mkfifo(path)

    with pytest.raises(ImportFileError) as refused:
        ImportFile(path)

    assert str(refused.value.faults[0]) == "is no plain file: drop the file itself."


def test_a_file_that_grows_while_it_is_read_is_left_for_later(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text(HEADER + "".join(f"{PROGRAM},s-{n},u-{n}\n" for n in range(20)))
    monkeypatch.setattr(import_files, "CHUNK", 10)

    def grow() -> None:
        with path.open("a") as file:
            file.write(f"{PROGRAM},s-more,ada\n")

    with pytest.raises(UnsettledFileError):
        ImportFile(path, on_progress=grow)


def test_a_large_file_needs_no_more_memory_than_a_small_one(tmp_path: Path) -> None:
    """Each file is read by a process of its own; what is compared is the most that it ever had in memory, in KiB."""
    code = """
import sys
from pathlib import Path
import django
django.setup()
from worker.imports.import_file import ImportFile
with ImportFile(Path(sys.argv[1])) as file:
    assert sum(1 for program in file.programs for _ in file.learners(program)) == int(sys.argv[2])
status = Path("/proc/self/status").read_text().splitlines()
print(next(line.split()[1] for line in status if line.startswith("VmHWM:")))
"""
    peaks = []
    for size in (1_000, 200_000):
        path = tmp_path / f"{size}.csv"
        with path.open("w") as file:
            file.write(HEADER)
            file.writelines(f"{PROGRAM},student-{n:08},user-{n:08}\n" for n in range(size))
        told = subprocess.run(
            [sys.executable, "-c", code, str(path), str(size)],
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "worker.settings"},
            cwd=Path(__file__).resolve().parents[2],
            capture_output=True,
            text=True,
            check=False,
        )
        assert told.returncode == 0, told.stderr
        peaks.append(int(told.stdout))

    assert peaks[1] - peaks[0] < 25_000
