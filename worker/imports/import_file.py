"""Files of learners of many programs: checked to the last line before anything is done with them, in flat memory."""

import hashlib
import os
import sqlite3
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Self, TextIO, cast
from uuid import UUID

from linking.bulk import Learner
from worker.imports.rows import AS_TEXT, KEY, PROGRAM, USERNAME, Fault, Row, read_rows, twice, uuid_of

if TYPE_CHECKING:
    from io import BufferedReader

MAX_FAULTS = 100
"""Faults of a file that are told."""
MAX_PROGRAMS = 1_000
"""Programs in a file: each becomes a job."""
CHUNK = 20_000
"""Rows that are set aside together."""


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
        self._find_repeated_keys()
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
        program = uuid_of(spelled)
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

    def _find_repeated_keys(self) -> None:
        sql = """
            SELECT line, external_user_key, first FROM (
                SELECT line, external_user_key, MIN(line) OVER (PARTITION BY program, external_user_key) AS first
                FROM learner
            ) WHERE line <> first ORDER BY line LIMIT ?
        """
        for line, key, first in self._rows.execute(sql, (MAX_FAULTS + 1,)):
            self._add_fault(Fault(line, twice(key, first)))

    def _add_fault(self, fault: Fault) -> None:
        if len(self._faults) < MAX_FAULTS:
            self._faults.append(fault)
        else:
            self._more = True


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


def _summary(faults: Sequence[Fault], *, more: bool) -> str:
    """Tell the faults without naming anybody."""
    count = f"more than {len(faults)} faults" if more else "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    first = next((fault.line for fault in faults if fault.line), None)
    return f"{count}, the first in line {first}" if first else count
