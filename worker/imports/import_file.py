"""Import files: learners of any number of programs, checked completely before anything is written, in flat memory."""

import hashlib
import os
import sqlite3
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import TextIO
from uuid import UUID

from linking.bulk import Learner, fold_key
from worker.imports.faults import Fault, repeated_key
from worker.imports.lines import as_text
from worker.imports.rows import read_rows

MAX_FAULTS = 100
"""Maximum faults of a file that are reported."""
MAX_PROGRAMS = 1_000
"""Maximum programs in a file: each becomes a job."""
CHUNK = 20_000
"""Rows per INSERT into the temporary database."""


Row = tuple[bytes, int]
"""The digests of a row: of its key, and of all of it."""
DigestsOf = Callable[[UUID, str, str], Row]


class ImportFileError(ValueError):
    """A file cannot be imported: its first :data:`MAX_FAULTS` faults by line, whether there are ``more``.

    The text names no learner.
    """

    def __init__(self, faults: Sequence[Fault], *, more: bool = False) -> None:
        count = f"more than {len(faults)} faults" if more else f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
        first = next((fault.line for fault in faults if fault.line), None)
        super().__init__(f"{count}, the first in line {first}" if first else count)
        self.faults = faults
        self.more = more


class UnsettledFileError(Exception):
    """The file changed while it was read: another process is still writing it."""


class ImportFile(AbstractContextManager["ImportFile"]):
    """A file of learners of any number of programs, read once and without fault.

    The rows are kept in a temporary SQLite database that ends with the process: a million rows need no more memory
    than a thousand, a file of many programs is read once, and the rows that are linked are those that were checked.

    ``on_progress`` is called after every :data:`CHUNK` rows and at the end of the file. ``digests_of`` returns the
    digests of program, key and username by which :meth:`compare` recognises rows; without it, rows are not compared.

    Raises:
        ImportFileError: the faults of the file.
        UnsettledFileError: the file changed while it was read.
    """

    def __init__(
        self, path: Path, on_progress: Callable[[], None] = lambda: None, digests_of: DigestsOf | None = None
    ) -> None:
        self.digest = ""  # SHA-256 of the content, in hex.
        self.programs: dict[UUID, int] = {}  # Number of learners, in the order of the file.
        self._on_progress = on_progress
        self._digests_of = digests_of
        self._numbers: dict[UUID, int] = {}  # By program, in the order of the file.
        self._rows = sqlite3.connect("", isolation_level=None)  # A private file, which the kernel removes.
        self._faults: list[Fault] = []
        with ExitStack() as on_error:
            on_error.push(self)
            try:
                with _open_regular(path) as file, as_text(file) as text:
                    self._read(file, text)
            except OSError as error:
                self._faults.append(Fault(None, f"cannot be read: {error.strerror}."))
            if self._faults:
                faults = sorted(self._faults, key=lambda fault: fault.line or 0)
                raise ImportFileError(faults[:MAX_FAULTS], more=len(faults) > MAX_FAULTS)
            on_error.pop_all()

    @property
    def has_digests(self) -> bool:
        """Whether its rows can be compared."""
        return self._digests_of is not None

    def __exit__(self, *_: object) -> None:
        """Remove the temporary database."""
        self._rows.close()

    def learners(self, program_uuid: UUID) -> Iterator[Learner]:
        """Yield the learners of a program in the order of the file."""
        # Read along the index, which has the order of the file within a program.
        sql = "SELECT external_user_key, lms_username FROM learner WHERE program = ? ORDER BY line"
        with closing(self._rows.execute(sql, (self._numbers[program_uuid],))) as rows:
            for position, (key, username) in enumerate(rows):
                yield Learner(position=position, external_user_key=key, lms_username=username)

    def compare(self, program_uuid: UUID, recorded: Iterable[Sequence[Row]]) -> int:
        """Compare the rows of a program with recorded ones, given in pages; return how many are not recorded.

        :meth:`new_learners`, :meth:`new_rows` and :meth:`gone_keys` have the difference until the next comparison.
        """
        self._rows.execute("DROP TABLE IF EXISTS recorded")
        self._rows.execute("DROP TABLE IF EXISTS new")
        self._rows.execute("CREATE TABLE recorded (key_digest PRIMARY KEY, row_digest) WITHOUT ROWID")
        for page in recorded:
            self._rows.executemany("INSERT INTO recorded VALUES (?, ?)", page)
            self._on_progress()
        sql = """
            CREATE TABLE new AS SELECT line FROM learner LEFT JOIN recorded USING (key_digest)
            WHERE program = ? AND learner.row_digest IS NOT recorded.row_digest ORDER BY line
        """
        self._rows.execute(sql, (self._numbers[program_uuid],))
        (count,) = self._rows.execute("SELECT COUNT(*) FROM new").fetchone()
        return int(count)

    def new_learners(self) -> Iterator[Learner]:
        """Yield the learners of the rows that are not recorded, in the order of the file."""
        sql = "SELECT external_user_key, lms_username FROM new JOIN learner USING (line) ORDER BY line"
        with closing(self._rows.execute(sql)) as rows:
            for position, (key, username) in enumerate(rows):
                yield Learner(position=position, external_user_key=key, lms_username=username)

    def new_rows(self) -> Iterator[Row]:
        """Yield the digests of the rows that are not recorded."""
        with closing(self._rows.execute("SELECT key_digest, row_digest FROM new JOIN learner USING (line)")) as rows:
            yield from rows

    def gone_keys(self, program_uuid: UUID) -> Iterator[bytes]:
        """Yield the digests of recorded keys whose rows are not in the file, or are other rows there."""
        others = "FROM new JOIN learner USING (line) JOIN recorded USING (key_digest)"
        with closing(self._rows.execute(f"SELECT key_digest {others}")) as rows:
            yield from (key for (key,) in rows)
        sql = f"SELECT (SELECT COUNT(*) FROM recorded) - ? + (SELECT COUNT(*) FROM new) - (SELECT COUNT(*) {others})"
        (vanished,) = self._rows.execute(sql, (self.programs[program_uuid],)).fetchone()
        if vanished:  # Else there is nothing to find, which takes as long as all the rest.
            sql = "SELECT key_digest FROM recorded EXCEPT SELECT key_digest FROM learner WHERE program = ?"
            with closing(self._rows.execute(sql, (self._numbers[program_uuid],))) as rows:
                yield from (key for (key,) in rows)

    def _read(self, file: BufferedReader, text: TextIO) -> None:
        before = os.fstat(file.fileno())
        self.digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        self._rows.create_function("LINKING_FOLD", 1, fold_key, deterministic=True)
        self._rows.execute("PRAGMA journal_mode = OFF")
        columns = "program, external_user_key, lms_username, key_digest, row_digest"
        self._rows.execute(f"CREATE TABLE learner (line INTEGER PRIMARY KEY, {columns})")
        rows = self._valid_rows(text)
        self._rows.execute("BEGIN")
        while chunk := list(islice(rows, CHUNK)):
            self._rows.executemany("INSERT INTO learner VALUES (?, ?, ?, ?, ?, ?)", chunk)
            self._on_progress()
        self._rows.execute("COMMIT")
        after = os.fstat(file.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            msg = "it changed while it was read"
            raise UnsettledFileError(msg)
        self._find_repeated_keys()
        self._on_progress()
        self._rows.execute("CREATE INDEX of_program ON learner (program)")
        counts = dict(self._rows.execute("SELECT program, COUNT(*) FROM learner GROUP BY program"))
        if not counts and not self._faults:
            self._faults.append(Fault(None, "there is no learner in it: give one row to each."))
        self.programs = {program: counts[number] for program, number in self._numbers.items()}

    def _valid_rows(self, file: TextIO) -> Iterator[tuple[int, int, str, str, bytes | None, int | None]]:
        for row in read_rows(file):
            if isinstance(row, Fault):
                self._add_fault(row)
                continue
            number = self._numbers.setdefault(row.program, len(self._numbers))
            if number < MAX_PROGRAMS:
                digests = self._digests_of(row.program, row.key, row.username) if self._digests_of else (None, None)
                yield row.line, number, row.key, row.username, *digests
            else:
                del self._numbers[row.program]
                self._add_fault(Fault(row.line, f"more than {MAX_PROGRAMS:,} programs: split the file."))

    def _find_repeated_keys(self) -> None:
        sql = """
            SELECT line, external_user_key, first, (
                SELECT external_user_key FROM learner AS first_row WHERE first_row.line = first
            ) FROM (
                SELECT line, external_user_key,
                       MIN(line) OVER (PARTITION BY program, LINKING_FOLD(external_user_key)) AS first
                FROM learner
            ) WHERE line <> first ORDER BY line LIMIT ?
        """
        for row in self._rows.execute(sql, (MAX_FAULTS + 1,)):
            self._add_fault(repeated_key(*row))

    def _add_fault(self, fault: Fault) -> None:
        if len(self._faults) <= MAX_FAULTS:
            self._faults.append(fault)


def _open_regular(path: Path) -> BufferedReader:
    """Open a regular file; refuse a symbolic link, which could lead out of the inbox, and any other kind of file."""
    if path.is_symlink():
        raise ImportFileError([Fault(None, "is a symbolic link: drop the file itself.")])
    # Non-blocking: opening a named pipe would wait for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ImportFileError([Fault(None, "is no plain file: drop the file itself.")])
    return os.fdopen(descriptor, "rb")
