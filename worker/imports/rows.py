"""Rows of CSV files of learners, checked one by one; each fault has its line."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, TextIO
from uuid import UUID

from linking.bulk import fold_key
from worker.formulas import unmark_formulas
from worker.imports.faults import KEY, PROGRAM, USERNAME, Fault, check_header, check_value, empty_file, repeated_key
from worker.imports.lines import Lines, as_text


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


def read_rows(file: TextIO, program_uuid: UUID | None = None, hint: str = "") -> Iterator[Row | Fault]:
    """Read a file row by row; yield a fault in place of a bad row, and as the last item if reading cannot continue.

    The columns are ``external_user_key``, ``lms_username`` and ``program_uuid``, in any order; others are ignored. If
    the argument ``program_uuid`` is given, its column may be missing, and a row of another program is a fault, whose
    text ends with ``hint``.
    """
    lines = Lines(file)
    records = csv.reader(lines, strict=True)
    try:
        header = _read_header(records, (KEY, USERNAME) if program_uuid else (PROGRAM, KEY, USERNAME))
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
            if len(record) < len(header):
                record += [""] * (len(header) - len(record))
            key, username = unmark_formulas(record[key_at]), unmark_formulas(record[username_at])
            named = str(program_uuid) if program_at is None else record[program_at]
            program = _parse_uuid(named)
            if fault := check_value(KEY, key) or check_value(USERNAME, username):
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
        yield lines.fault_of(error)


def _read_header(records: Iterator[list[str]], columns: Sequence[str]) -> list[str]:
    """Read and return the header, which must have some columns.

    Raises:
        Fault: it is missing or wrong.
    """
    names = next(records, None)
    if names is None:
        raise empty_file(columns)
    header = [name.strip() for name in names]
    if fault := check_header(header, columns):
        raise Fault(1, fault)
    return header


@lru_cache(maxsize=2_000)
def _parse_uuid(text: str) -> UUID | None:
    with suppress(ValueError):
        return UUID(text.strip())
    return None
