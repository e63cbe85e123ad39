"""Forgetting a person in the files of the inbox: rows of imported files and reports, lines of rejected files."""

import csv
import io
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from worker.formulas import unmark_formulas
from worker.imports.faults import KEY, USERNAME
from worker.imports.folder import DRAFT, FOLDERS
from worker.jobs.person import Person

UNREADABLE = (b"PK\3\4", b"PK\5\6", b"\xd0\xcf\x11", b"\xff\xfe", b"\xfe\xff")
"""Beginnings of workbooks and of UTF-16: they are not searched."""
ENDED = ("done/", "rejected/")
"""Folders whose files are not imported any more."""
ENCODING = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}
"""Bytes that are not UTF-8 are kept."""


@dataclass(slots=True, kw_only=True)
class ForgottenFiles:
    """What was done about files; each list has paths relative to the inbox."""

    changed: list[str] = field(default_factory=list)  # Files from which the person was removed.
    waiting: list[str] = field(default_factory=list)  # Files to be imported that name the person: left as they are.
    unreadable: list[str] = field(default_factory=list)  # Workbooks and the like, which may name anybody.


def forget_in_files(inbox: Path, person: Person) -> ForgottenFiles:
    """Remove a person from the files in ``done/`` and ``rejected/``; find the files that will be imported.

    Each file is replaced as a whole: a reader finds the old one or the new one.
    """
    files = ForgottenFiles()
    for path in _files(inbox):
        name = path.relative_to(inbox).as_posix()
        with path.open("rb") as content:
            is_unreadable = content.read(4).startswith(UNREADABLE)
        if is_unreadable:
            files.unreadable.append(name)
        elif name.startswith(ENDED):
            if _rewrite(path, person):
                files.changed.append(name)
        elif _names(path, person):
            files.waiting.append(name)
    return files


def _files(inbox: Path) -> Iterator[Path]:
    for folder in (inbox, *(inbox / name for name in FOLDERS)):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.is_file() and not path.is_symlink():
                yield path


def _names(path: Path, person: Person) -> bool:
    with path.open(**ENCODING) as file:  # type: ignore[call-overload] # mypy reads no keywords from a mapping
        return any(person.may_be_in(_readable(line)) for line in file)


def _rewrite(path: Path, person: Person) -> bool:
    """Write a file without the person, if it names them; return whether it does."""
    draft = path.with_name(path.name + DRAFT)
    draft.unlink(missing_ok=True)
    rows = _rows if path.parent.name == "done" else _lines
    changed = False
    with path.open(**ENCODING) as file, draft.open("x", **ENCODING) as kept:  # type: ignore[call-overload] # as above
        for old, new in rows(file, person):
            changed = changed or new != old
            kept.write(new)
        kept.flush()
        os.fsync(kept.fileno())
    if not changed:
        draft.unlink()
        return False
    shutil.copystat(path, draft)
    draft.rename(path)
    return True


def _lines(file: TextIO, person: Person) -> Iterator[tuple[str, str]]:
    """Yield each line of a file that may be no CSV, and what to keep of it."""
    for line in file:
        yield line, "" if person.may_be_in(_readable(line)) else line


def _rows(file: TextIO, person: Person) -> Iterator[tuple[str, str]]:
    """Yield each row of a file that was imported, or of its report, and what to keep of it."""
    read: list[str] = []

    def lines() -> Iterator[str]:
        for line in file:
            read.append(line)
            yield line

    columns: list[str] = []
    for row in csv.reader(lines()):
        old = "".join(read)
        read.clear()
        if not columns:
            columns = [name.strip("\ufeff ") for name in row]
            yield old, old
            continue
        values = dict(zip(columns, map(unmark_formulas, row), strict=False))
        if person.is_named(values.get(KEY, ""), values.get(USERNAME, "")):
            yield old, ""
        elif any(map(person.is_in, row)):
            yield old, _as_row(map(person.hide, row), old)
        else:
            yield old, old


def _as_row(cells: Iterator[str], old: str) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator=old[len(old.rstrip("\r\n")) :]).writerow(cells)
    return text.getvalue()


def _readable(line: str) -> str:
    """Return a line for a search; one that is not UTF-8 in the encoding of Western spreadsheets."""
    return line if line.isascii() else _decode(line.encode(errors="surrogateescape"))


def _decode(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("cp1252", errors="replace")
