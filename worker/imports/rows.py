"""Rows of CSV files of learners, checked one by one; each fault has its line."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self, TextIO
from uuid import UUID

from linking.bulk import fold_key
from worker.formulas import unmark_formulas

KEY, USERNAME, PROGRAM = "external_user_key", "lms_username", "program_uuid"
MAX_RECORD = 131_072
"""Maximum characters of a row: csv's own limit for a value; it bounds memory where a quote is not closed."""


class Fault(ValueError):  # noqa: N818 - most faults are collected, not raised
    """An error in a file and its line, or None if it is not in one line; the text says how to fix it."""

    def __init__(self, line: int | None, text: str) -> None:
        super().__init__(f"line {line}: {text}" if line else text)
        self.line = line

    def in_file(self, name: object) -> str:
        """Return the fault as a text with the name of its file."""
        return f"{name}, {self}" if self.line else f"{name}: {self}"


class Row(NamedTuple):
    """A learner of a file."""

    line: int
    program: UUID
    key: str
    username: str


def read_mapping(path: Path, program_uuid: UUID) -> dict[str, str]:
    """Read the mapping of one program; see :func:`read_rows` for the columns.

    Raises:
        Fault: the first fault of the file, with the file's name.
    """
    mappings: dict[UUID, dict[str, str]] = {}
    try:
        with as_text(path.open("rb")) as file:
            for fault in read_mappings(file, mappings, program_uuid, "one program at a time."):
                raise Fault(None, fault.in_file(path))
    except OSError as error:
        raise Fault(None, f"{path}: cannot be read: {error.strerror}.") from None
    return mappings.get(program_uuid, {})


def read_mappings(
    file: TextIO, mappings: dict[UUID, dict[str, str]], program_uuid: UUID | None, hint: str
) -> Iterator[Fault]:
    """Read the learners of a file into ``mappings``, by program; yield the faults. See :func:`read_rows`."""
    rows: dict[tuple[UUID, str], Row] = {}
    for row in read_rows(file, program_uuid, hint):
        if isinstance(row, Fault):
            yield row
        elif (first := rows.setdefault((row.program, fold_key(row.key)), row)) is not row:
            yield repeated_key(row.line, row.key, first.line, first.key)
        else:
            mappings.setdefault(row.program, {})[row.key] = row.username


def as_text(file: BinaryIO) -> TextIO:
    """Return a file opened in binary mode as text: bytes that are not UTF-8 become surrogates, which are reported."""
    return TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")


def repeated_key(line: int, key: str, first_line: int, first_key: str) -> Fault:
    """Return the fault of a row whose key, in whatever case, is also in an earlier row: the first is given."""
    spelling = "" if key == first_key else f" as {first_key[:200]}, which differs only in case"
    text = f"external user key {key[:200]} provided multiple times, first in line {first_line}{spelling}"
    return Fault(line, f"{text}: keep one of them.")


def read_rows(file: TextIO, program_uuid: UUID | None = None, hint: str = "") -> Iterator[Row | Fault]:
    """Read a file row by row; yield a fault in place of a bad row, and as the last item if reading cannot continue.

    The columns are ``external_user_key``, ``lms_username`` and ``program_uuid``, in any order; others are ignored. If
    the argument ``program_uuid`` is given, its column may be missing, and a row of another program is a fault, whose
    text ends with ``hint``.
    """
    lines = _Lines(file)
    records = csv.reader(lines, strict=True)
    try:
        header = [name.strip() for name in next(records, [])]
        if fault := _check_header(header, (KEY, USERNAME) if program_uuid else (PROGRAM, KEY, USERNAME)):
            yield Fault(1, fault)
            return
        key_at, username_at = header.index(KEY), header.index(USERNAME)
        program_at = header.index(PROGRAM) if PROGRAM in header else None
        while True:
            line = lines.begin_row()
            if (record := next(records, None)) is None:
                return
            if not record:
                continue
            if len(record) > len(header):
                yield Fault(line, "more values than the header has columns: quote those with commas.")
                continue
            record += [""] * (len(header) - len(record))
            key, username = unmark_formulas(record[key_at]), unmark_formulas(record[username_at])
            named = str(program_uuid) if program_at is None else record[program_at]
            program = _parse_uuid(named)
            if fault := _check_value(KEY, key) or _check_value(USERNAME, username):
                yield Fault(line, fault)
            elif program_uuid and program != program_uuid:
                yield Fault(line, f"{PROGRAM} is {named!r}, not {program_uuid}: {hint}")
            elif program is None:
                fault = f"is {named[:100]!r}, which is no UUID." if named else "is missing."
                yield Fault(line, f"{PROGRAM} {fault}")
            else:
                yield Row(line, program, key, username)
    except Fault as bad_line:
        yield bad_line
    except csv.Error as error:
        yield Fault(lines.first, f"not CSV: {error}.")


class _Lines:
    """The lines of a file, each checked before csv parses it; ``first`` is the number of a row's first line.

    Raises a fault at a line after which nothing can be read.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._number = 0
        self.begin_row()

    def begin_row(self) -> int:
        """Begin a row with the next line; return that line's number."""
        self._left = MAX_RECORD
        self.first = self._number + 1
        return self.first

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self._file.readline(self._left + 1)
        if not line:
            raise StopIteration
        self._number += 1
        self._left -= len(line)
        if self._left < 0:
            fault = f"a row of more than {MAX_RECORD:,} characters: is a quote not closed, or is this no CSV?"
            raise Fault(self.first, fault)
        if not line.isascii():
            try:
                line.encode()
            except UnicodeEncodeError as error:
                fault = f"not UTF-8 (byte {ord(line[error.start]) - 0xDC00:#04x}): save it as UTF-8."
                raise Fault(self._number, fault) from None
        return line


@lru_cache(maxsize=2_000)
def _parse_uuid(text: str) -> UUID | None:
    with suppress(ValueError):
        return UUID(text.strip())
    return None


def _check_header(header: Sequence[str], columns: Sequence[str]) -> str:
    if missing := [name for name in columns if name not in header]:
        return f"the header has no {' and no '.join(missing)}: expected at least {','.join(columns)}."
    if repeated := [name for name in columns if header.count(name) > 1]:
        return f"the header has {' and '.join(repeated)} twice: keep one of them."
    return ""


def _check_value(name: str, value: str) -> str:
    if not value:
        return f"{name} is missing: give each learner both columns."
    if "\0" in value:
        return f"{name} holds a NUL character, which no database can store."
    return ""
