"""Mapping files: what is read, and what is said of a file that cannot be used."""

from pathlib import Path
from uuid import UUID

import pytest

from worker.imports.rows import MappingFileError, read_mapping

PROGRAM = UUID("11111111-1111-4111-8111-111111111111")
OTHER = UUID("22222222-2222-4222-8222-222222222222")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mapping.csv"


def read(path: Path, content: str | bytes) -> dict[str, str]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_mapping(path, PROGRAM)


def fault(path: Path, content: str | bytes) -> str:
    """Return what is said of a bad file, without its path."""
    with pytest.raises(MappingFileError) as refused:
        read(path, content)
    text = str(refused.value)
    assert text.startswith(str(path))
    return text.removeprefix(str(path))


# --- What is read -----------------------------------------------------------------------------------------------------


def test_a_plain_file_is_read_in_its_order(path: Path) -> None:
    mapping = read(path, "external_user_key,lms_username\ns-2,bob\ns-1,ada\n")

    assert list(mapping.items()) == [("s-2", "bob"), ("s-1", "ada")]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfexternal_user_key,lms_username\ns-1,ad\xc3\xa4\n",
        "lms_username,external_user_key\nadä,s-1\n",
        f"program_uuid,name,external_user_key,lms_username,born\n{PROGRAM},Ada L,s-1,adä,1815\n",
        "external_user_key,lms_username,program_uuid\ns-1,adä, 11111111111141118111111111111111 \n",
        "external_user_key,lms_username\r\ns-1,adä\r\n",
        "external_user_key,lms_username\ns-1,adä",
        "external_user_key,lms_username\n\n s-1 , adä \n\n",
        '"external_user_key","lms_username"\n"s-1","adä"\n',
    ],
    ids=["BOM", "column order", "extra columns", "the program", "CRLF", "no last newline", "blank", "quoted"],
)
def test_what_spreadsheets_write_is_read(path: Path, content: str | bytes) -> None:
    assert read(path, content) == {"s-1": "adä"}


def test_a_value_may_hold_commas_quotes_and_line_breaks(path: Path) -> None:
    assert read(path, 'external_user_key,lms_username\n"s,1","a""d\na"\n') == {"s,1": 'a"d\na'}


def test_keys_that_differ_in_case_are_two_learners(path: Path) -> None:
    assert read(path, "external_user_key,lms_username\ns-1,ada\nS-1,bob\n") == {"s-1": "ada", "S-1": "bob"}


def test_a_file_with_a_header_only_is_an_empty_mapping(path: Path) -> None:
    assert read(path, "external_user_key,lms_username\n") == {}


# --- What is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "missing"),
    [
        ("", "external_user_key and no lms_username"),
        ("key,user\n", "external_user_key and no lms_username"),
        ("external_user_key\ns-1\n", "lms_username"),
        ("external_user_key;lms_username\n", "external_user_key and no lms_username"),
        ("External_User_Key,lms_username\n", "external_user_key"),
        ("s-1,ada\ns-2,bob\n", "external_user_key and no lms_username"),
    ],
)
def test_a_header_without_a_column_is_refused(path: Path, header: str, missing: str) -> None:
    assert fault(path, header) == (
        f", line 1: the header has no {missing}: expected at least external_user_key,lms_username."
    )


@pytest.mark.parametrize(
    ("row", "column"),
    [(",ada", "external_user_key"), ("s-2,", "lms_username"), ("s-2, ", "lms_username"), ("s-2", "lms_username")],
)
def test_a_missing_value_is_told_with_its_line(path: Path, row: str, column: str) -> None:
    text = fault(path, f'external_user_key,lms_username\n"s\n1",ada\n{row}\n')

    assert text == f", line 4: {column} is missing: give each learner both columns."


def test_a_key_that_comes_twice_is_told_with_both_lines(path: Path) -> None:
    text = fault(path, "external_user_key,lms_username\ns-1,ada\ns-2,bob\ns-1,eve\n")

    assert text == ", line 4: external user key s-1 provided multiple times, first in line 2: keep one of them."


@pytest.mark.parametrize("program", [str(OTHER), "", "nonsense"])
def test_another_program_is_refused(path: Path, program: str) -> None:
    text = fault(path, f"program_uuid,external_user_key,lms_username\n{PROGRAM},s-1,ada\n{program},s-2,bob\n")

    assert text == f", line 3: program_uuid is {program!r}, not {PROGRAM}: one program at a time."


def test_more_values_than_columns_are_refused_with_their_line(path: Path) -> None:
    text = fault(path, "external_user_key,lms_username\ns-1,ada\ns-2,Bob,B.\n")

    assert text == ", line 3: more values than the header has columns: quote those with commas."


def test_latin_1_is_refused_with_the_byte(path: Path) -> None:
    text = fault(path, "external_user_key,lms_username\ns-1,ad\xe4\n".encode("latin-1"))

    assert text == ", line 2: not UTF-8 (byte 0xe4): save it as UTF-8."


def test_utf_16_is_refused(path: Path) -> None:
    assert fault(path, "external_user_key,lms_username\n".encode("utf-16")).startswith(", line 1: not UTF-8 (byte 0xf")


@pytest.mark.parametrize(("row", "column"), [("s-2\0,bob", "external_user_key"), ("s-2,\0bob", "lms_username")])
def test_a_nul_is_refused_with_its_line(path: Path, row: str, column: str) -> None:
    text = fault(path, f"external_user_key,lms_username\ns-1,ada\n{row}\n")

    assert text == f", line 3: {column} holds a NUL character, which no database can store."


@pytest.mark.parametrize("row", ['"s-2,bob\n', '"s-2"x,bob\n'])
def test_an_unbalanced_quote_is_refused_with_its_line(path: Path, row: str) -> None:
    assert fault(path, f"external_user_key,lms_username\ns-1,ada\n{row}").startswith(", line 3: not CSV: ")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MappingFileError, match=r": cannot be read: Is a directory\.$"):
        read_mapping(tmp_path, PROGRAM)


def test_a_file_that_is_not_there_is_refused(path: Path) -> None:
    with pytest.raises(MappingFileError, match=r"mapping\.csv: cannot be read: No such file or directory\.$"):
        read_mapping(path, PROGRAM)


def test_a_file_that_cannot_be_opened_is_refused(path: Path) -> None:
    path.symlink_to(path)

    with pytest.raises(MappingFileError, match=r"mapping\.csv: cannot be read: Too many levels of symbolic links\.$"):
        read_mapping(path, PROGRAM)
