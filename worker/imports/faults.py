"""Faults of CSV files of learners, each with its line and the remedy."""

import re
from collections.abc import Sequence

KEY, USERNAME, PROGRAM = "external_user_key", "lms_username", "program_uuid"
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
"""Characters that separate columns in files that are not CSV, with their names."""


class Fault(ValueError):  # noqa: N818 - most faults are collected, not raised
    """An error in a file and its line, or None if it is not in one line; the text says how to fix it."""

    def __init__(self, line: int | None, text: str) -> None:
        super().__init__(f"line {line}: {text}" if line else text)
        self.line = line

    def in_file(self, name: object) -> str:
        """Return the fault as a text with the name of its file."""
        return f"{name}, {self}" if self.line else f"{name}: {self}"


def empty_file(columns: Sequence[str]) -> Fault:
    """Return the fault of a file with nothing in it."""
    return Fault(None, f"is empty: it needs the header {','.join(columns)} and a line for each learner.")


def check_header(header: Sequence[str], columns: Sequence[str]) -> str:
    """Return what is wrong with a header that must have some columns; an empty text if nothing is."""
    missing = [name for name in columns if name not in header]
    if missing:
        return _describe_header(header, columns, missing)
    if repeated := [name for name in columns if header.count(name) > 1]:
        return f"the header has {' and '.join(repeated)} twice: keep one of them."
    return ""


def _describe_header(header: Sequence[str], columns: Sequence[str], missing: Sequence[str]) -> str:
    if not any(header):
        return f"the first line is blank: it must be the header, with at least {','.join(columns)}."
    for separator, name in SEPARATORS.items():
        if {*columns} <= {_column_meant(part) for part in ",".join(header).split(separator)}:
            return f"the columns are separated by {name}: save the file as CSV with commas."
    given = {_column_meant(name): name for name in header}
    faults = []
    if unknown := [name for name in missing if name not in given]:
        faults.append(f"the header has no {' and no '.join(unknown)}: expected at least {','.join(columns)}.")
    if renamed := [name for name in missing if name in given]:
        names = " and ".join(given[name] for name in renamed)
        faults.append(f"the header has {names}: write {' and '.join(renamed)}.")
    return " ".join(faults)


def _column_meant(name: str) -> str:
    """Return a name of a column in the form that columns have: ``Program UUID`` is ``program_uuid``."""
    return re.sub("[^a-z]+", "_", name.lower()).strip("_")


def check_value(name: str, value: str) -> str:
    """Return what is wrong with a key or username; an empty text if nothing is."""
    if not value:
        return f"{name} is missing: give each learner both columns."
    if "\0" in value:
        return f"{name} holds a NUL character, which no database can store."
    return ""


def repeated_key(line: int, key: str, first_line: int, first_key: str) -> Fault:
    """Return the fault of a row whose key, in whatever case, is also in an earlier row: the first is given."""
    spelling = "" if key == first_key else f" as {first_key[:200]}, which differs only in case"
    text = f"external user key {key[:200]} provided multiple times, first in line {first_line}{spelling}"
    return Fault(line, f"{text}: keep one of them.")
