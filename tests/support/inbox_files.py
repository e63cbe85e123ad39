"""Files in an inbox: written before an import, read after it."""

import csv
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

from tests.support.ids import OTHER_PROGRAM, PROGRAM

HEADER = "program_uuid,external_user_key,lms_username\n"


def rows(mapping: Mapping[str, str], program: UUID = PROGRAM) -> str:
    """Return the rows of a mapping of one program."""
    return "".join(f"{program},{key},{username}\n" for key, username in mapping.items())


def write_file(path: Path, mapping: Mapping[str, str], others: Mapping[str, str] | None = None) -> Path:
    """Write a file with a mapping of :data:`PROGRAM`, and one of :data:`OTHER_PROGRAM` if given."""
    path.write_text(HEADER + rows(mapping) + rows(others or {}, OTHER_PROGRAM))
    return path


def read_csv(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file by column."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def outcomes_in(report: Path) -> list[tuple[str, str]]:
    """Return external user key and outcome of each row of a report."""
    return [(row["external_user_key"], row["outcome"]) for row in read_csv(report)]


def files_in(folder: Path) -> set[str]:
    """Return the paths of the files in a folder and its subfolders, relative to it."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def imported(*names: str) -> set[str]:
    """Return the paths that imported files have in an inbox."""
    return {f"done/{file}" for name in names for file in (name, f"{name}.report.csv")}


def rejected(*names: str) -> set[str]:
    """Return the paths that rejected files have in an inbox."""
    return {f"rejected/{file}" for name in names for file in (name, f"{name}.errors.txt")}
