"""Files on their way in: mappings as CSV, checked to the last line before anything is done with them."""

import csv
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

KEY, USERNAME, PROGRAM = "external_user_key", "lms_username", "program_uuid"


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
    for line, row in _rows(path):
        key, username = (row.get(KEY) or "").strip(), (row.get(USERNAME) or "").strip()
        for name, value in ((KEY, key), (USERNAME, username)):
            if not value:
                raise MappingFileError(path, f"{name} is missing: give each learner both columns.", line)
            if "\0" in value:
                raise MappingFileError(path, f"{name} holds a NUL character, which no database can store.", line)
        program = row.get(PROGRAM)
        if program is not None and not _is_uuid(program, program_uuid):
            fault = f"program_uuid is {program!r}, not {program_uuid}: one program at a time."
            raise MappingFileError(path, fault, line)
        if key in mapping:
            fault = f"external user key {key} provided multiple times, first in line {lines[key]}: keep one of them."
            raise MappingFileError(path, fault, line)
        mapping[key], lines[key] = username, line
    return mapping


def _rows(path: Path) -> Iterator[tuple[int, dict[str | None, str | None]]]:
    line = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = reader.fieldnames or []
            if missing := [name for name in (KEY, USERNAME) if name not in columns]:
                fault = f"the header has no {' and no '.join(missing)}: expected at least {KEY},{USERNAME}."
                raise MappingFileError(path, fault, 1)
            for row in reader:
                line = reader.line_num
                if None in row:
                    raise MappingFileError(
                        path, "more values than the header has columns: quote those with commas.", line
                    )
                yield line, row
    except UnicodeDecodeError as error:
        raise MappingFileError(path, f"not UTF-8 (byte {error.object[error.start]:#04x}): save it as UTF-8.") from None
    except csv.Error as error:
        raise MappingFileError(path, f"not CSV: {error}.", line + 1) from None
    except OSError as error:
        raise MappingFileError(path, f"cannot be read: {error.strerror}.") from None


def _is_uuid(text: str, expected: UUID) -> bool:
    try:
        return UUID(text.strip()) == expected
    except ValueError:
        return False
