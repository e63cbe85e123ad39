"""The lines of a CSV file: decoded, bounded in length, and searched for the quote that was not closed."""

import csv
import re
from io import TextIOWrapper
from itertools import accumulate
from typing import BinaryIO, Self, TextIO

from worker.imports.faults import Fault

MAX_RECORD = 131_072
"""Maximum characters of a row: csv's own limit for a value; it bounds memory where a quote is not closed."""
WORKBOOKS = ("PK\3\4", "PK\5\6", "\udcd0\udccf\x11")
"""Beginnings of workbooks, as :func:`as_text` decodes them: ZIP archives, and the format before."""
VALUE = re.compile(r'"[^"]*(?:""[^"]*)*(?P<end>"?)|[^,\r\n]*')
"""A value of a row, quoted or not; the group ``end`` is None for one without quotes and empty for an open quote."""


def as_text(file: BinaryIO) -> TextIO:
    """Return a file opened in binary mode as text: bytes that are not UTF-8 become surrogates, which are reported."""
    return TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")


class Lines:
    """The lines of a file, each checked before csv parses it; ``first`` is the number of a row's first line.

    Raises a fault at a line after which nothing can be read.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._number = 0
        self._row: list[str] = []
        self.begin_row()

    def begin_row(self) -> int:
        """Begin a row with the next line; return that line's number."""
        self._left = MAX_RECORD
        self.first = self._number + 1
        return self.first

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self._file.readline(self._left + 1)
        if not line:
            raise StopIteration
        self._number += 1
        if self._left == MAX_RECORD:
            self._row = [line]
        else:
            self._row.append(line)
        self._left -= len(line)
        if self._number == 1 and line.startswith(WORKBOOKS):
            raise Fault(None, "is a workbook or another archive, not text: save its sheet as CSV (UTF-8).")
        if self._left < 0:
            raise self._too_long()
        if not line.isascii():
            try:
                line.encode()
            except UnicodeEncodeError as error:
                fault = f"not UTF-8 (byte {ord(line[error.start]) - 0xDC00:#04x}): save it as UTF-8."
                raise Fault(self._number, fault) from None
        return line

    def fault_of(self, error: csv.Error) -> Fault:
        """Return the fault of a row that csv cannot parse."""
        opened, closed = self._last_quote()
        if opened is None or closed == opened:
            return Fault(opened or self.first, f"not CSV: {error}.")
        return _open_quote(opened, "never closed" if closed is None else f"not closed before line {closed}")

    def _too_long(self) -> Fault:
        opened, closed = self._last_quote()
        if opened is None or closed is not None:
            return Fault(self.first, f"a row of more than {MAX_RECORD:,} characters: is this no CSV?")
        return _open_quote(opened, f"not closed within {MAX_RECORD:,} characters")

    def _last_quote(self) -> tuple[int | None, int | None]:
        """Return the lines in which the last quoted value of the row begins and ends."""
        row = "".join(self._row)
        position, last = 0, None
        while position <= len(row) and (value := VALUE.match(row, position)):
            if value["end"] is not None:
                last = value
            if row[value.end() : value.end() + 1] not in {",", "\r", "\n"}:
                break
            position = value.end() + 1
        if last is None:
            return None, None
        return self._line_at(last.start()), self._line_at(last.end() - 1) if last["end"] else None

    def _line_at(self, position: int) -> int:
        """Return the number of the line that has a position of the row."""
        return self.first + sum(end <= position for end in accumulate(map(len, self._row)))


def _open_quote(line: int, how: str) -> Fault:
    text = "close it, or write it twice where it is part of the value."
    return Fault(line, f"a quote is opened here and {how}: {text}")
