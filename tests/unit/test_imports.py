"""Mapping files: the formats that are read, and the fault of a file that is refused."""

from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from worker.imports.faults import Fault
from worker.imports.rows import read_mapping

PROGRAM = UUID("11111111-1111-4111-8111-111111111111")
OTHER = UUID("22222222-2222-4222-8222-222222222222")
HEADER = "external_user_key,lms_username\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mapping.csv"


def read(path: Path, content: str | bytes) -> dict[str, str]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_mapping(path, PROGRAM)


@pytest.mark.parametrize(
    ("rows", "learners"),
    [
        ("s-2,bob\ns-1,ada\n", [("s-2", "bob"), ("s-1", "ada")]),
        ('"s,1","a""d\na"\n', [("s,1", 'a"d\na')]),
        ("", []),
    ],
    ids=["in the order of the file", "commas, quotes and line breaks", "header only"],
)
def test_a_file_is_read(path: Path, rows: str, learners: list[tuple[str, str]]) -> None:
    assert [*read(path, HEADER + rows).items()] == learners


FORMATS: dict[str, str | bytes] = {
    "BOM": b"\xef\xbb\xbfexternal_user_key,lms_username\ns-1,ad\xc3\xa4\n",
    "order": "lms_username,external_user_key\nadä,s-1\n",
    "extra columns": f"program_uuid,name,{HEADER.strip()},born\n{PROGRAM},Ada L,s-1,adä,1815\n",
    "program": "external_user_key,lms_username,program_uuid\ns-1,adä, 11111111111141118111111111111111 \n",
    "CRLF": "external_user_key,lms_username\r\ns-1,adä\r\n",
    "no last newline": f"{HEADER}s-1,adä",
    "blanks": f"{HEADER}\n s-1 , adä \n\n",
    "quoted": '"external_user_key","lms_username"\n"s-1","adä"\n',
    "CR": "external_user_key,lms_username\rs-1,adä\r",
    "NUL elsewhere": "external_user_key,lms_username,other\ns-1,adä,\0\n",
}


@pytest.mark.parametrize("content", FORMATS.values(), ids=FORMATS)
def test_the_formats_of_spreadsheets_are_read(path: Path, content: str | bytes) -> None:
    assert read(path, content) == {"s-1": "adä"}


def missing(columns: str) -> str:
    return f"line 1: the header has no {columns}: expected at least external_user_key,lms_username."


def missing_value(column: str) -> str:
    return f"line 4: {column} is missing: give each learner both columns."


BOTH = "external_user_key and no lms_username"
CLOSE = "close it, or write it twice where it is part of the value."
MANY = "s-3,eve\n" * 20_000
EMPTY = ("", b"\xef\xbb\xbf")
START = f'{HEADER}"s\n1",ada\n'
"""A header and a learner: the next row begins in line 4."""
WITH_PROGRAM = f"program_uuid,{HEADER}{PROGRAM},s-1,ada\n"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        *((empty, f"is empty: it needs the header {HEADER.strip()} and a line for each learner.") for empty in EMPTY),
        (
            f"\n{HEADER}s-1,ada\n",
            f"line 1: the first line is blank: it must be the header, with at least {HEADER.strip()}.",
        ),
        ("key,user\n", missing(BOTH)),
        ("external_user_key\ns-1\n", missing("lms_username")),
        *(
            (
                f"name{separator}External User Key{separator}lms_username\nAda, L{separator}s-1{separator}ada\n",
                f"line 1: the columns are separated by {name}: save the file as CSV with commas.",
            )
            for separator, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars"))
        ),
        ("External_User_Key,lms_username\n", "line 1: the header has External_User_Key: write external_user_key."),
        (
            "EXTERNAL USER KEY,Lms-Username\n",
            "line 1: the header has EXTERNAL USER KEY and Lms-Username: write external_user_key and lms_username.",
        ),
        (
            "Lms_Username,key\n",
            f"{missing('external_user_key')} the header has Lms_Username: write lms_username.",
        ),
        *(
            (start, "is a workbook or another archive, not text: save its sheet as CSV (UTF-8).")
            for start in (
                b"PK\x03\x04\x14\x00\x06\x00\x08\x00\x00\x00!\x00\xb5U0#\xf4\x00\x00\x00L\x02\n\x00",
                b"PK\x05\x06" + b"\0" * 18,
                b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 200_000,
            )
        ),
        ("s-1,ada\ns-2,bob\n", missing(BOTH)),
        (f"lms_username,{HEADER}", "line 1: the header has lms_username twice: keep one of them."),
        (f"{START},ada\n", missing_value("external_user_key")),
        (f"{START}s-2,\n", missing_value("lms_username")),
        (f"{START}s-2, \n", missing_value("lms_username")),
        (f"{START}s-2\n", missing_value("lms_username")),
        (
            f"{HEADER}s-1,ada\ns-2,bob\ns-1,eve\n",
            "line 4: external user key s-1 provided multiple times, first in line 2: keep one of them.",
        ),
        (
            f"{HEADER}S-1,ada\ns-2,bob\ns-1,eve\n",
            (
                "line 4: external user key s-1 provided multiple times, first in line 2 as S-1, which differs only in"
                " case: keep one of them."
            ),
        ),
        *(
            (
                f"{WITH_PROGRAM}{program},s-2,bob\n",
                f"line 3: program_uuid is {program!r}, not {PROGRAM}: one program at a time.",
            )
            for program in (str(OTHER), "", "nonsense")
        ),
        (f"{START}s-2,Bob,B.\n", "line 4: more values than the header has columns: quote those with commas."),
        (f"{HEADER}s-1,ad\xe4\n".encode("latin-1"), "line 2: not UTF-8 (byte 0xe4): save it as UTF-8."),
        (HEADER.encode("utf-16"), "line 1: not UTF-8 (byte 0xff): save it as UTF-8."),
        (f"{START}s-2\0,bob\n", "line 4: external_user_key holds a NUL character, which no database can store."),
        (f"{START}s-2,\0bob\n", "line 4: lms_username holds a NUL character, which no database can store."),
        (f'{START}"s-2,bob\n', f"line 4: a quote is opened here and never closed: {CLOSE}"),
        (f'{START}"s\n""2",bob,"s-3,\neve\n', f"line 5: a quote is opened here and never closed: {CLOSE}"),
        (f'{START}"s-2\r\n"",bob\rs-3,eve\n', f"line 4: a quote is opened here and never closed: {CLOSE}"),
        (
            f'{START}s"2,"bob\ns-3,eve\n"s-4",joe\n',
            f"line 4: a quote is opened here and not closed before line 6: {CLOSE}",
        ),
        (f'{START}"s-2"x,bob\n', "line 4: not CSV: ',' expected after '\"'."),
        ('"external_user_key,lms_username\n', f"line 1: a quote is opened here and never closed: {CLOSE}"),
        (
            f'{START}"s\n2","b\nob",{MANY}',
            "line 4: more values than the header has columns: quote those with commas.",
        ),
        (
            f'{START}"s\n2","bob\n{MANY}"s-4",joe\n',
            f"line 5: a quote is opened here and not closed within 131,072 characters: {CLOSE}",
        ),
    ],
)
def test_a_faulty_file_is_refused_with_the_line_and_the_fault(path: Path, content: str | bytes, text: str) -> None:
    with pytest.raises(Fault) as refused:
        read(path, content)

    assert str(refused.value) == f"{path}{', ' if text.startswith('line') else ': '}{text}"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (Path.mkdir, "Is a directory"),
        (lambda _: None, "No such file or directory"),
        (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(path: Path, make: Callable[[Path], object], reason: str) -> None:
    make(path)

    with pytest.raises(Fault, match=rf"mapping\.csv: cannot be read: {reason}\.$"):
        read_mapping(path, PROGRAM)
