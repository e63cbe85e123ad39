"""The inbox as a folder: which files may be claimed, and how files are named, written and moved without losing one."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from django.conf import settings

from worker.exceptions import InboxError

SETTLE_SECONDS = 5.0
"""Seconds for which a file must not change before it is claimed."""
MAX_NAME = 255
"""Maximum bytes of a file's name."""
REPORT, ERRORS, DRAFT = ".report.csv", ".errors.txt", ".part"


def prepare_inbox() -> Path:
    """Create the folders of the inbox; return its path.

    Raises:
        InboxError: the inbox is not configured, does not exist, or is not writable.
    """
    inbox: Path | None = settings.LINKING_INBOX
    if inbox is None:
        msg = "LINKING_INBOX is not set: it names the folder that files to import are dropped in."
        raise InboxError(msg)
    try:
        for name in ("taken", "done", "rejected"):
            (inbox / name).mkdir(exist_ok=True)
    except OSError as error:
        fault = f"{error.strerror}: it must be a folder that every worker may write in."
        msg = f"LINKING_INBOX={str(inbox)!r} cannot be used: {fault}"
        raise InboxError(msg) from None
    return inbox


def list_settled(inbox: Path) -> tuple[list[str], list[str]]:
    """Return the names of the files that did not change for :data:`SETTLE_SECONDS`, and of those that did."""
    before = _stat_files(inbox)
    if not before:
        return [], []
    time.sleep(SETTLE_SECONDS)
    after = _stat_files(inbox)
    settled = [name for name in sorted(after) if after[name] == before.get(name)]
    return settled, sorted(after.keys() - settled)


def _stat_files(inbox: Path) -> dict[str, tuple[int, int, int]]:
    found = {}
    for path in inbox.iterdir():
        if path.suffix.lower() == ".csv" and not path.name.startswith("."):
            with suppress(FileNotFoundError):  # Another process has claimed it.
                it = path.lstat()
                found[path.name] = (it.st_ino, it.st_size, it.st_mtime_ns)
    return found


def move(source: Path, target: Path) -> None:
    """Rename a file, unless an earlier attempt has done so: its process died, or stalled, after it."""
    with suppress(FileNotFoundError):
        source.rename(target)


@contextmanager
def write_atomically(draft: Path, target: Path) -> Iterator[TextIO]:
    """Open a draft to write; at the end, sync it to disk and rename it, so that ``target`` is always complete."""
    draft.unlink(missing_ok=True)  # Never append to the draft of a worker that stalled.
    with draft.open("x", encoding="utf-8", newline="") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    move(draft, target)


def free_name(folder: Path, name: str, reserved: set[str]) -> str:
    """Return ``x.csv``, or the first of ``x.2.csv``, ``x.3.csv``, … that is neither reserved nor used in a folder.

    The name is short enough to append the suffix of a report.
    """
    path, number = Path(name), 0
    while True:
        number += 1
        end = path.suffix if number == 1 else f".{number}{path.suffix}"
        most = MAX_NAME - len(f"{end}{max(REPORT, ERRORS, key=len)}".encode())
        name = path.stem.encode()[:most].decode(errors="ignore") + end
        if name not in reserved and not any(
            os.path.lexists(folder / f"{name}{suffix}") for suffix in ("", REPORT, ERRORS)
        ):
            return name
