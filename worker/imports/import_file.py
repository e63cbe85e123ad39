"""Import files: learners of any number of programs, checked completely before anything is written, in flat memory."""

import hashlib
import os
import sqlite3
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
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
from worker.jobs.row_digests import Row, RowDigest, is_in, sum_buckets

MAX_FAULTS = 100
"""Maximum faults of a file that are reported."""
MAX_PROGRAMS = 1_000
"""Maximum programs in a file: each becomes a job."""
CHUNK = 20_000
"""Rows per INSERT into the temporary database."""


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

    ``on_progress`` is called after every :data:`CHUNK` rows and at the end of the file. ``row_digest_of`` returns the
    function that digests the rows of a program; without it, rows cannot be compared.

    Raises:
        ImportFileError: the faults of the file.
        UnsettledFileError: the file changed while it was read.
    """

    def __init__(
        self,
        path: Path,
        on_progress: Callable[[], None] = lambda: None,
        row_digest_of: Callable[[UUID], RowDigest] | None = None,
    ) -> None:
        self.digest = ""  # SHA-256 of the content, in hex.
        self.programs: dict[UUID, int] = {}  # Number of learners, in the order of the file.
        self._on_progress = on_progress
        self._row_digest_of = row_digest_of
        self._numbers: dict[UUID, int] = {}  # By program, in the order of the file.
        self._counts: list[int] = []  # By number.
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
        return self._row_digest_of is not None

    def __exit__(self, *_: object) -> None:
        """Remove the temporary database."""
        self._rows.close()

    def learners(self, program_uuid: UUID) -> Iterator[Learner]:
        """Yield the learners of a program in the order of the file."""
        # Read along the index, if there is one, which has the order of the file within a program.
        sql = "SELECT external_user_key, lms_username FROM learner WHERE program = ? ORDER BY line"
        return self._learners(sql, self._numbers[program_uuid])

    def sum_buckets(self, program_uuid: UUID) -> dict[int, int]:
        """Return the sum of each bucket of a program's rows."""
        sql = "SELECT row_digest FROM learner WHERE program = ?"
        with closing(self._rows.execute(sql, (self._numbers[program_uuid],))) as rows:
            return sum_buckets(digest for (digest,) in rows)

    def compare(self, program_uuid: UUID, buckets: Collection[int], recorded: Iterable[Sequence[Row]]) -> int:
        """Compare the rows of some buckets of a program with recorded ones, which are given in pages.

        :meth:`new_learners` and :meth:`gone_keys` have the difference until the next comparison.

        Returns:
            How many rows are not recorded.
        """
        self._rows.executescript("""
            DROP TABLE IF EXISTS recorded; CREATE TABLE recorded (row_digest INTEGER PRIMARY KEY, key_digest);
            DROP TABLE IF EXISTS new; CREATE TABLE new (line INTEGER PRIMARY KEY);
            DROP TABLE IF EXISTS gone; CREATE TABLE gone (key_digest);
        """)
        for page in recorded:
            self._rows.executemany("INSERT OR IGNORE INTO recorded VALUES (?2, ?1)", page)
            self._on_progress()
        of_file = f"FROM learner WHERE program = {self._numbers[program_uuid]} AND {is_in(buckets)}"
        recorded_digests = "(SELECT row_digest FROM recorded)"
        self._rows.execute(f"INSERT INTO new SELECT line {of_file} AND row_digest NOT IN {recorded_digests}")
        self._on_progress()
        others = f"row_digest NOT IN (SELECT row_digest {of_file})"
        self._rows.execute(f"INSERT INTO gone SELECT key_digest FROM recorded WHERE {others}")
        self._on_progress()
        (count,) = self._rows.execute("SELECT COUNT(*) FROM new").fetchone()
        return int(count)

    def new_learners(self) -> Iterator[Learner]:
        """Yield the learners of the rows that are not recorded, in the order of the file."""
        return self._learners("SELECT external_user_key, lms_username FROM new JOIN learner USING (line) ORDER BY line")

    def gone_keys(self) -> Iterator[bytes]:
        """Yield the digests of recorded keys whose rows are not in the file, or are other rows there."""
        with closing(self._rows.execute("SELECT key_digest FROM gone")) as rows:
            yield from (key for (key,) in rows)

    def _learners(self, sql: str, *parameters: int) -> Iterator[Learner]:
        with closing(self._rows.execute(sql, parameters)) as rows:
            for position, (key, username) in enumerate(rows):
                yield Learner(position=position, external_user_key=key, lms_username=username)

    def _read(self, file: BufferedReader, text: TextIO) -> None:
        before = os.fstat(file.fileno())
        self.digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        self._rows.execute("PRAGMA journal_mode = OFF")
        columns = "program, external_user_key, lms_username, key_hash, row_digest"
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
        self.programs = dict(zip(self._numbers, self._counts, strict=True))
        if len(self.programs) > 1:
            self._rows.execute("CREATE INDEX of_program ON learner (program)")
        if not self.programs and not self._faults:
            self._faults.append(Fault(None, "there is no learner in it: give one row to each."))

    def _valid_rows(self, file: TextIO) -> Iterator[tuple[int, int, str, str, int, int | None]]:
        program, number, row_digest = None, 0, None
        for row in read_rows(file):
            if isinstance(row, Fault):
                self._add_fault(row)
                continue
            if row.program is not program:
                if row.program not in self._numbers and len(self._numbers) == MAX_PROGRAMS:
                    self._add_fault(Fault(row.line, f"more than {MAX_PROGRAMS:,} programs: split the file."))
                    continue
                program = row.program
                number = self._numbers.setdefault(program, len(self._numbers))
                if number == len(self._counts):
                    self._counts.append(0)
                row_digest = self._row_digest_of(program) if self._row_digest_of else None
            self._counts[number] += 1
            key_hash = hash((number, fold_key(row.key)))
            digest = row_digest(row.key, row.username) if row_digest else None
            yield row.line, number, row.key, row.username, key_hash, digest

    def _find_repeated_keys(self) -> None:
        same = "SELECT key_hash FROM learner GROUP BY key_hash HAVING COUNT(*) > 1"
        self._rows.execute(f"CREATE TABLE repeated AS {same}")
        self._rows.create_function("LINKING_FOLD", 1, fold_key, deterministic=True)
        sql = """
            SELECT line, external_user_key, first, (
                SELECT external_user_key FROM learner AS first_row WHERE first_row.line = first
            ) FROM (
                SELECT line, external_user_key,
                       MIN(line) OVER (PARTITION BY program, LINKING_FOLD(external_user_key)) AS first
                FROM learner WHERE key_hash IN (SELECT key_hash FROM repeated)
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
