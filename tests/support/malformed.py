"""Files that cannot be imported, each with its first fault."""

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.ids import PROGRAM
from tests.support.inbox_files import HEADER

ROWS = "".join(f"{PROGRAM},s-{n},u-{n}\n" for n in range(20))
MISSING = "the header has no program_uuid and no external_user_key and no lms_username: expected at least"
NO_LEARNER = "there is no learner in it: give one row to each."


@dataclass(frozen=True, kw_only=True)
class Malformed:
    """A function that writes the file to a path, and the beginning of the message of its first fault."""

    write: Callable[[Path], object]
    fault: str


def _text(content: str, encoding: str = "utf-8") -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content.encode(encoding))


def _unreadable(path: Path) -> None:
    path.write_text(HEADER + ROWS)
    path.chmod(0)


MALFORMED = {
    "no-header.csv": Malformed(write=_text(ROWS), fault=f"line 1: {MISSING}"),
    "wrong-header.csv": Malformed(write=_text("program,key,user\n" + ROWS), fault=f"line 1: {MISSING}"),
    "bad-uuid.csv": Malformed(
        write=_text(HEADER + "".join(f"{PROGRAM if n != 7 else 'no-program'},s-{n},u-{n}\n" for n in range(2, 30))),
        fault="line 7: program_uuid is 'no-program', which is no UUID.",
    ),
    "key-twice.csv": Malformed(
        write=_text(f"{HEADER}{ROWS}{PROGRAM},s-3,other\n"),
        fault="line 22: external user key s-3 provided multiple times, first in line 5: keep one of them.",
    ),
    "key-in-two-cases.csv": Malformed(
        write=_text(f"{HEADER}{ROWS}{PROGRAM},S-3,other\n"),
        fault="line 22: external user key S-3 provided multiple times, first in line 5 as s-3, which differs",
    ),
    "nul.csv": Malformed(
        write=_text(f"{HEADER}{PROGRAM},s-1,u\0-1\n{ROWS}"),
        fault="line 2: lms_username holds a NUL character, which no database can store.",
    ),
    "latin-1.csv": Malformed(
        write=_text(f"{HEADER}{PROGRAM},s-1,u-1\n{PROGRAM},s-2,Jürgen\n", "latin-1"),
        fault="line 3: not UTF-8 (byte 0xfc): save it as UTF-8.",
    ),
    "empty.csv": Malformed(write=_text(""), fault="is empty: it needs the header program_uuid,external_user_key,"),
    "semicolons.csv": Malformed(
        write=_text((HEADER + ROWS).replace(",", ";")), fault="line 1: the columns are separated by semicolons: save"
    ),
    "case-of-header.csv": Malformed(
        write=_text(HEADER.replace("p", "P") + ROWS), fault="line 1: the header has Program_uuid: write program_uuid."
    ),
    "workbook.csv": Malformed(
        write=lambda path: path.write_bytes(b"PK\x03\x04\x14\x00" + bytes(range(256)) * 1_000),
        fault="is a workbook or another archive, not text: save its sheet as CSV (UTF-8).",
    ),
    "header-only.csv": Malformed(write=_text(HEADER), fault=NO_LEARNER),
    "long-line.csv": Malformed(
        write=_text(f"{HEADER}{PROGRAM},s-1,u-1\n{PROGRAM},s-2,{'x' * 2_000_000}\n{ROWS}"),
        fault="line 3: a row of more than 131,072 characters: is this no CSV?",
    ),
    "open-quote.csv": Malformed(
        write=_text(f'{HEADER}{PROGRAM},s-30,u-30\n{PROGRAM},"s-31,u-31\n{ROWS}'),
        fault="line 3: a quote is opened here and never closed: close it, or write it twice",
    ),
    "folder.csv": Malformed(write=Path.mkdir, fault="is no plain file: drop the file itself."),
    "unreadable.csv": Malformed(write=_unreadable, fault="cannot be read: Permission denied."),
}


@contextmanager
def permissions_hold() -> Iterator[None]:
    """Enforce file permissions on root, as on every other user."""
    if os.geteuid():
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # The version of the structure, and this thread.
    before = (ctypes.c_uint32 * 6)()
    assert libc.capget(header, before) == 0
    without = (ctypes.c_uint32 * 6)(*before)
    without[0] &= ~0b110  # Effective: without CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH.
    assert libc.capset(header, without) == 0
    try:
        yield
    finally:
        assert libc.capset(header, before) == 0
