"""The inbox as a folder: which files may be claimed, and how files are named, written and moved without losing one."""

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TextIO

from django.conf import settings

from worker.exceptions import InboxError

SETTLE_SECONDS = 5.0
"""Seconds for which a file must not change before it is claimed."""
MAX_NAME = 255
"""Maximum bytes of a file's name."""
FOLDERS = ("taken", "done", "rejected")
"""The inbox's own folders."""
SUFFIX = ".csv"
"""End of the name of a file to import, in any case."""
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
        for name in FOLDERS:
            (inbox / name).mkdir(exist_ok=True)
    except OSError as error:
        fault = f"{error.strerror}: it must be a folder that every worker may write in."
        msg = f"LINKING_INBOX={str(inbox)!r} cannot be used: {fault}"
        raise InboxError(msg) from None
    return inbox


class Listing(NamedTuple):
    """Names in the inbox.

    ``settled`` are the files to import that did not change for :data:`SETTLE_SECONDS`, ``growing`` those that did.
    ``left`` has the entries that are not imported and did not change, each with the reason.
    """

    settled: list[str]
    growing: list[str]
    left: dict[str, str]


def list_inbox(inbox: Path) -> Listing:
    """List the inbox, without its own folders."""
    before = _stat_entries(inbox)
    if not before:
        return Listing([], [], {})
    time.sleep(SETTLE_SECONDS)
    after = _stat_entries(inbox)
    unchanged = {name for name, entry in after.items() if entry == before.get(name)}
    reasons = {name: _why_left(name, mode) for name, (mode, *_) in after.items()}
    files = sorted(name for name, reason in reasons.items() if not reason)
    return Listing(
        settled=[name for name in files if name in unchanged],
        growing=[name for name in files if name not in unchanged],
        left={name: reason for name, reason in reasons.items() if reason and name in unchanged},
    )


def _stat_entries(inbox: Path) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for path in inbox.iterdir():
        if path.name not in FOLDERS:
            with suppress(FileNotFoundError):  # Another process has claimed it.
                it = path.lstat()
                found[path.name] = (it.st_mode, it.st_ino, it.st_size, it.st_mtime_ns)
    return found


def _why_left(name: str, mode: int) -> str:
    """Return why an entry is not imported; an empty text if it is."""
    if name.startswith("."):
        return "hidden"
    if name.lower().endswith(SUFFIX):
        return ""
    return "a folder" if stat.S_ISDIR(mode) else f"the name does not end in {SUFFIX}"


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
