"""Files on their way in: CSV, checked to the last line before anything is done with it."""

import csv
import hashlib
import os
import sqlite3
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Self, TextIO, TypedDict, cast
from uuid import UUID

from linking.api import Learner

if TYPE_CHECKING:
    from io import BufferedReader

KEY, USERNAME, PROGRAM = "external_user_key", "lms_username", "program_uuid"
MAX_RECORD = 131_072
"""Characters of a row: csv's own limit for a value, and what bounds memory where a quote is not closed."""
MAX_FAULTS = 100
"""Faults of a file that are told."""
MAX_PROGRAMS = 1_000
"""Programs in a file: each becomes a job."""
CHUNK = 20_000
"""Rows that are set aside together."""


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


class ImportFileError(ValueError):
    """A file cannot be imported.

    Args:
        faults: the first :data:`MAX_FAULTS` of them, by line.
        more: whether there are more.
    """

    def __init__(self, faults: Sequence[Fault], *, more: bool = False) -> None:
        super().__init__(_summary(faults, more=more))
        self.faults = faults
        self.more = more


class UnsettledFileError(Exception):
    """The file changed while it was read: somebody is still writing it."""


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
                if row.program is not None and _uuid(row.program) != program_uuid:
                    fault = f"program_uuid is {row.program!r}, not {program_uuid}: one program at a time."
                    raise MappingFileError(path, fault, row.line)
                if row.key in mapping:
                    raise MappingFileError(path, _twice(row.key, lines[row.key]), row.line)
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


class ImportFile:
    """A file of learners of any number of programs, read once and found without fault. A context manager.

    The rows are set aside in a temporary SQLite database that is gone with the process: a million rows need no more
    memory than a thousand, a file of many programs is read once, and what is linked is what was checked.

    Args:
        path: a plain file with the columns ``program_uuid``, ``external_user_key`` and ``lms_username``.
        alive: called now and then while reading.

    Attributes:
        digest: SHA-256 of the content, in hex.
        programs: learners by program, in the order of the file.

    Raises:
        ImportFileError: the faults of the file.
        UnsettledFileError: it changed while it was read.
    """

    def __init__(self, path: Path, alive: Callable[[], None] = lambda: None) -> None:
        self.digest = ""
        self.programs: dict[UUID, int] = {}
        self._alive = alive
        self._numbers: dict[str, int] = {}  # Of the programs, by how they are spelled.
        self._rows = sqlite3.connect("", isolation_level=None)  # A private file, which the kernel removes.
        self._faults: list[Fault] = []
        self._more = False
        try:
            with _open_plain(path) as file:
                self._read(file)
        except OSError as error:
            self._add_fault(Fault(None, f"cannot be read: {error.strerror}."))
        except BaseException:
            self.close()
            raise
        if self._faults:
            self.close()
            raise ImportFileError(sorted(self._faults, key=lambda fault: fault.line or 0), more=self._more)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Throw away what was set aside."""
        self._rows.close()

    def learners(self, program_uuid: UUID) -> Iterator[Learner]:
        """Yield the learners of a program in the order of the file."""
        number = list(self.programs).index(program_uuid)
        # Read in the order of the index, which is that of the file within a program.
        sql = "SELECT external_user_key, lms_username FROM learner WHERE program = ? ORDER BY line"
        with closing(self._rows.execute(sql, (number,))) as rows:
            for position, (key, username) in enumerate(rows):
                yield Learner(position=position, external_user_key=key, lms_username=username)

    def _read(self, file: TextIO) -> None:
        before = os.fstat(file.fileno())
        self.digest = hashlib.file_digest(cast("BufferedReader", file.buffer), "sha256").hexdigest()
        file.seek(0)
        self._rows.execute("PRAGMA journal_mode = OFF")
        self._rows.execute("CREATE TABLE learner (line INTEGER PRIMARY KEY, program, external_user_key, lms_username)")
        counts: Counter[int] = Counter()
        rows = self._good_rows(file, counts)
        self._rows.execute("BEGIN")
        while chunk := list(islice(rows, CHUNK)):
            self._rows.executemany("INSERT INTO learner VALUES (?, ?, ?, ?)", chunk)
            self._alive()
        self._rows.execute("COMMIT")
        self.programs = {program: counts[number] for number, program in enumerate(self.programs)}
        after = os.fstat(file.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise UnsettledFileError
        self._look_for_keys_given_twice()
        self._alive()
        if not counts and not self._faults:
            self._add_fault(Fault(None, "there is no learner in it: give one row to each."))
        self._rows.execute("CREATE INDEX of_program ON learner (program)")

    def _good_rows(self, file: TextIO, counts: Counter[int]) -> Iterator[tuple[int, int, str, str]]:
        for row in read_rows(file, (PROGRAM, KEY, USERNAME)):
            if isinstance(row, Fault):
                self._add_fault(row)
                continue
            number = self._numbers.get(row.program or "")
            if number is None:
                number = self._number(row)
            if number is not None:
                counts[number] += 1
                yield row.line, number, row.key, row.username

    def _number(self, row: Row) -> int | None:
        """Return the number of a program in a spelling that has not been seen yet."""
        spelled = row.program or ""
        program = _uuid(spelled)
        if program is None:
            fault = f"program_uuid is {spelled[:100]!r}, which is no UUID." if spelled else "program_uuid is missing."
            self._add_fault(Fault(row.line, fault))
            return None
        if program not in self.programs:
            if len(self.programs) == MAX_PROGRAMS:
                self._add_fault(Fault(row.line, f"more than {MAX_PROGRAMS:,} programs: split the file."))
                return None
            self.programs[program] = 0
        number = list(self.programs).index(program)
        if len(self._numbers) < 2 * MAX_PROGRAMS:
            self._numbers[spelled] = number
        return number

    def _look_for_keys_given_twice(self) -> None:
        sql = """
            SELECT line, external_user_key, first FROM (
                SELECT line, external_user_key, MIN(line) OVER (PARTITION BY program, external_user_key) AS first
                FROM learner
            ) WHERE line <> first ORDER BY line LIMIT ?
        """
        for line, key, first in self._rows.execute(sql, (MAX_FAULTS + 1,)):
            self._add_fault(Fault(line, _twice(key, first)))

    def _add_fault(self, fault: Fault) -> None:
        if len(self._faults) < MAX_FAULTS:
            self._faults.append(fault)
        else:
            self._more = True


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


def _open_plain(path: Path) -> TextIO:
    """Open a file that is neither a link (it could lead anywhere) nor anything else that only looks like a file."""
    if path.is_symlink():
        raise ImportFileError([Fault(None, "is a symbolic link: drop the file itself.")])
    # Not blocking: a named pipe that nobody writes would be waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ImportFileError([Fault(None, "is no plain file: drop the file itself.")])
    return os.fdopen(descriptor, **AS_TEXT)


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


def _twice(key: str, first: int) -> str:
    return f"external user key {key[:200]} provided multiple times, first in line {first}: keep one of them."


def _uuid(text: str) -> UUID | None:
    with suppress(ValueError):
        return UUID(text.strip())
    return None


def _summary(faults: Sequence[Fault], *, more: bool) -> str:
    """Tell the faults without naming anybody."""
    count = f"more than {len(faults)} faults" if more else "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    first = next((fault.line for fault in faults if fault.line), None)
    return f"{count}, the first in line {first}" if first else count
