"""Files to import: read once, streamed by program, and refused with every fault and its line."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from tests.support.inbox_files import HEADER
from tests.support.malformed import MALFORMED, permissions_hold
from tests.support.programs import python
from worker.imports import import_file as import_files
from worker.imports.import_file import MAX_FAULTS, MAX_PROGRAMS, ImportFile, ImportFileError, UnsettledFileError
from worker.jobs import row_digests

PROGRAM = UUID("11111111-1111-4111-8111-111111111111")
OTHER = UUID("22222222-2222-4222-8222-222222222222")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.csv"


def read(path: Path, content: str | bytes) -> dict[UUID, list[tuple[int, str, str]]]:
    """Return position, key and username of each learner in a file, by program."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with ImportFile(path) as file:
        read = {
            program: [(it.position, it.external_user_key, it.lms_username) for it in file.learners(program)]
            for program in file.programs
        }
        assert {program: len(learners) for program, learners in read.items()} == file.programs
    return read


def faults(path: Path, content: str | None = None) -> list[str]:
    """Return the faults of a bad file."""
    if content is not None:
        path.write_text(content)
    with pytest.raises(ImportFileError) as refused:
        ImportFile(path)
    return [str(fault) for fault in refused.value.faults]


def test_programs_may_be_mixed_and_keep_the_order_of_the_file(path: Path) -> None:
    rows = f"{PROGRAM},s-2,bob\n{OTHER},s-1,ada\n{PROGRAM},s-1,eve\n{str(OTHER).upper()},s-0,joe\n"

    assert read(path, HEADER + rows) == {
        PROGRAM: [(0, "s-2", "bob"), (1, "s-1", "eve")],
        OTHER: [(0, "s-1", "ada"), (1, "s-0", "joe")],
    }


def test_a_byte_order_mark_spaces_and_any_spelling_of_a_program_are_read(path: Path) -> None:
    content = f"\ufeffprogram_uuid, external_user_key ,lms_username\r\n {PROGRAM} ,s-1 , adä\r\n{PROGRAM.hex},s-2,bob"

    assert read(path, content) == {PROGRAM: [(0, "s-1", "adä"), (1, "s-2", "bob")]}


def test_one_key_may_be_in_two_programs(path: Path) -> None:
    rows = f"{PROGRAM},s-1,ada\n{OTHER},S-1,ada\n{PROGRAM},s-2,bob\n"

    assert read(path, HEADER + rows) == {PROGRAM: [(0, "s-1", "ada"), (1, "s-2", "bob")], OTHER: [(0, "S-1", "ada")]}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("KEY-1", "key-1"),
        ("É-1", "é-1"),
        ("Σας", "σας"),
        ("\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}1", "i1"),
        ("\N{FULLWIDTH LATIN CAPITAL LETTER K}1", "\N{FULLWIDTH LATIN SMALL LETTER K}1"),
        ("\N{KELVIN SIGN}-1", "k-1"),
    ],
)
def test_one_key_in_two_cases_is_one_key_twice(path: Path, first: str, second: str) -> None:
    rows = f"{PROGRAM},{first},ada\n{PROGRAM},s-2,bob\n{PROGRAM},{second},eve\n{PROGRAM},{second},eve\n"

    text = f"external user key {second} provided multiple times, first in line 2 as {first}, which differs only in"
    assert faults(path, HEADER + rows) == [f"line {line}: {text} case: keep one of them." for line in (4, 5)]


def test_the_digest_is_that_of_the_content(path: Path) -> None:
    path.write_text(f"{HEADER}{PROGRAM},s-1,ada\n")

    with ImportFile(path) as file:
        assert file.digest == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_file_is_refused_with_its_fault_and_line(path: Path, name: str) -> None:
    MALFORMED[name].write(path)

    with permissions_hold():
        assert faults(path)[0].startswith(MALFORMED[name].fault)


def test_a_row_without_program_is_refused_with_its_line(path: Path) -> None:
    assert faults(path, f'{HEADER}{PROGRAM},"s\n0",eve\n\n,s-1,ada\n') == ["line 5: program_uuid is missing."]


def test_all_faults_are_reported_in_the_order_of_their_lines(path: Path) -> None:
    rows = f"{PROGRAM},s-1,ada\n{PROGRAM},s-1,bob\nx,s-2,eve\n{PROGRAM},,joe\n{PROGRAM},s-1,kim\n"

    assert [fault.split(":")[0] for fault in faults(path, HEADER + rows)] == ["line 3", "line 4", "line 5", "line 6"]


def test_of_many_faults_the_first_hundred_are_reported_and_that_there_are_more(path: Path) -> None:
    path.write_text(HEADER + f"{PROGRAM},s,\n" * (MAX_FAULTS + 1))

    with pytest.raises(ImportFileError, match=r"^more than 100 faults, the first in line 2$") as refused:
        ImportFile(path)

    assert (len(refused.value.faults), refused.value.more) == (MAX_FAULTS, True)


def test_more_than_a_thousand_programs_are_refused(path: Path) -> None:
    rows = "".join(f"{UUID(int=n)},s-1,ada\n" for n in range(MAX_PROGRAMS + 1))

    assert faults(path, HEADER + rows) == [f"line {MAX_PROGRAMS + 2}: more than 1,000 programs: split the file."]


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda path: path.symlink_to("target.csv"), "is a symbolic link: drop the file itself."),
        (os.mkfifo, "is no plain file: drop the file itself."),
    ],
)
def test_only_a_plain_file_is_opened(path: Path, make: Callable[[Path], object], fault: str) -> None:
    path.with_name("target.csv").write_text(f"{HEADER}{PROGRAM},s-1,ada\n")
    make(path)

    assert faults(path)[0] == fault


def test_a_file_that_grows_while_it_is_read_is_left_for_later(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text(HEADER + "".join(f"{PROGRAM},s-{n},u-{n}\n" for n in range(20)))
    monkeypatch.setattr(import_files, "CHUNK", 10)

    def grow() -> None:
        with path.open("a") as file:
            file.write(f"{PROGRAM},s-more,ada\n")

    with pytest.raises(UnsettledFileError):
        ImportFile(path, on_progress=grow)


def test_a_large_file_needs_no_more_memory_than_a_small_one(tmp_path: Path) -> None:
    """Each file is read by a process of its own; compared are the peaks of their memory, in KiB."""
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
        process = python("-c", code, path, str(size), env={**os.environ, "DJANGO_SETTINGS_MODULE": "worker.settings"})
        assert process.returncode == 0, process.stderr
        peaks.append(int(process.stdout))

    assert peaks[1] - peaks[0] < 25_000


@pytest.mark.parametrize("max_buckets", [0, row_digests.MAX_BUCKETS])
def test_rows_that_differ_from_recorded_ones_are_found_whether_few_or_all_are_compared(
    path: Path, monkeypatch: pytest.MonkeyPatch, max_buckets: int
) -> None:
    monkeypatch.setattr(row_digests, "MAX_BUCKETS", max_buckets)
    recorded = {f"k-{number}": f"u-{number}" for number in range(300)}
    vanished, edited = ["k-7", "k-50"], {"k-3": "u-4", "k-4": "u-3"}
    rows = {key: name for key, name in recorded.items() if key not in vanished} | edited | {"k-300": "u-7"}
    path.write_text(HEADER + "".join(f"{PROGRAM},{key},{name}\n" for key, name in rows.items()))
    digests = [row_digests.digests_of(PROGRAM, key, name) for key, name in recorded.items()]

    with ImportFile(path, row_digest_of=row_digests.row_digest_of) as file:
        sums = row_digests.sum_buckets(digest for _, digest in digests)
        buckets = row_digests.differing_buckets(file.sum_buckets(PROGRAM), sums)
        assert len(buckets) <= 7
        given = [row for row in digests if not max_buckets or row[1] % row_digests.BUCKETS in buckets]
        assert (len(given) < 20) == bool(max_buckets)

        assert file.compare(PROGRAM, buckets, [given[:5], given[5:]]) == 3
        assert [learner.external_user_key for learner in file.new_learners()] == ["k-3", "k-4", "k-300"]
        gone = {row_digests.digests_of(PROGRAM, key, "")[0] for key in (*vanished, *edited)}
        assert {*file.gone_keys()} == gone
