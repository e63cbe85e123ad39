"""CSV on its way in: learners row by row, and what is wrong with a row, with its line."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple, Self, TextIO, TypedDict
from uuid import UUID

KEY, USERNAME, PROGRAM = "external_user_key", "lms_username", "program_uuid"
MAX_RECORD = 131_072
"""Characters of a row: csv's own limit for a value, and what bounds memory where a quote is not closed."""


class _OpenOptions(TypedDict):
    encoding: str
    errors: str
    newline: str


AS_TEXT: Final = _OpenOptions(encoding="utf-8-sig", errors="surrogateescape", newline="")
"""How files are opened: what is not UTF-8 is kept, as surrogates, to be told with its line."""


class Fault(NamedTuple):
    """What is wrong with a file, and in which line, where it is one line's; the text tells how to mend it."""

    line: int | None
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}" if self.line else self.text


class Row(NamedTuple):
    """A learner as the file has it; ``program`` is None where the file has no such column."""

    line: int
    key: str
    username: str
    program: str | None


class MappingFileError(ValueError):
    """The file cannot be used; the text says where and why, and how to mend it."""

    def __init__(self, path: Path, fault: str, line: int | None = None) -> None:
        place = f"{path}, line {line}" if line else str(path)
        super().__init__(f"{place}: {fault}")


def read_mapping(path: Path, program_uuid: UUID) -> dict[str, str]:
    """Read a mapping from a CSV file with the columns ``external_user_key`` and ``lms_username``, in any order.

    UTF-8, with or without a byte order mark; other columns are ignored, but a ``program_uuid`` must be the one
    asked for.

    Raises:
        MappingFileError: the first fault of the file.
    """
    mapping: dict[str, str] = {}
    lines: dict[str, int] = {}
    try:
        with path.open(**AS_TEXT) as file:
            for row in read_rows(file, (KEY, USERNAME)):
                if isinstance(row, Fault):
                    raise MappingFileError(path, row.text, row.line)
                if row.program is not None and uuid_of(row.program) != program_uuid:
                    fault = f"program_uuid is {row.program!r}, not {program_uuid}: one program at a time."
                    raise MappingFileError(path, fault, row.line)
                if row.key in mapping:
                    raise MappingFileError(path, twice(row.key, lines[row.key]), row.line)
                mapping[row.key], lines[row.key] = row.username, row.line
    except OSError as error:
        raise MappingFileError(path, f"cannot be read: {error.strerror}.") from None
    return mapping


def read_rows(file: TextIO, columns: Sequence[str]) -> Iterator[Row | Fault]:
    """Read a CSV file row by row; a fault stands in the place of its row, and is the last where reading cannot go on.

    Args:
        file: opened :data:`AS_TEXT`.
        columns: those that the header must have, in any order, beside others.
    """
    lines = _Lines(file)
    records = csv.reader(lines, strict=True)
    line = 1
    try:
        header = [name.strip() for name in next(records, [])]
        if fault := _fault_of_header(header, columns):
            yield Fault(1, fault)
            return
        key_at, username_at = header.index(KEY), header.index(USERNAME)
        program_at = header.index(PROGRAM) if PROGRAM in header else None
        while True:
            line = lines.begin_record()
            if (record := next(records, None)) is None:
                return
            if not record:
                continue
            if len(record) > len(header):
                yield Fault(line, "more values than the header has columns: quote those with commas.")
                continue
            record += [""] * (len(header) - len(record))
            program = None if program_at is None else record[program_at]
            row = Row(line, record[key_at].strip(), record[username_at].strip(), program)
            fault = _fault_of_value(KEY, row.key) or _fault_of_value(USERNAME, row.username)
            yield Fault(line, fault) if fault else row
    except _LineError as error:
        yield Fault(line if error.spans_lines else lines.number, str(error))
    except csv.Error as error:
        yield Fault(line, f"not CSV: {error}.")


class _LineError(ValueError):
    """A line cannot be read; ``spans_lines`` where it is the fault of the row that it belongs to."""

    def __init__(self, text: str, *, spans_lines: bool = False) -> None:
        super().__init__(text)
        self.spans_lines = spans_lines


class _Lines:
    """The lines of a file, each checked before anything is made of it; ``number`` is that of the last one."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._left = MAX_RECORD
        self.number = 0

    def begin_record(self) -> int:
        """Let the next line begin a row; return its number."""
        self._left = MAX_RECORD
        return self.number + 1

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self._file.readline(self._left + 1)
        if not line:
            raise StopIteration
        self.number += 1
        self._left -= len(line)
        if self._left < 0:
            msg = f"a row of more than {MAX_RECORD:,} characters: is a quote not closed, or is this no CSV?"
            raise _LineError(msg, spans_lines=True)
        if not line.isascii():
            try:
                line.encode()
            except UnicodeEncodeError as error:
                msg = f"not UTF-8 (byte {ord(line[error.start]) - 0xDC00:#04x}): save it as UTF-8."
                raise _LineError(msg) from None
        return line


def _fault_of_header(header: Sequence[str], columns: Sequence[str]) -> str:
    if missing := [name for name in columns if name not in header]:
        return f"the header has no {' and no '.join(missing)}: expected at least {','.join(columns)}."
    if twice := [name for name in columns if header.count(name) > 1]:
        return f"the header has {' and '.join(twice)} twice: keep one of them."
    return ""


def _fault_of_value(name: str, value: str) -> str:
    if not value:
        return f"{name} is missing: give each learner both columns."
    if "\0" in value:
        return f"{name} holds a NUL character, which no database can store."
    return ""


def twice(key: str, first: int) -> str:
    """Return what is wrong with a line whose key was in an earlier one."""
    return f"external user key {key[:200]} provided multiple times, first in line {first}: keep one of them."


def uuid_of(text: str) -> UUID | None:
    """Return the UUID that a text spells, None where it spells none."""
    with suppress(ValueError):
        return UUID(text.strip())
    return None
