"""Texts in CSV files that a spreadsheet would run as formulas.

An apostrophe before such a text makes it plain text to a spreadsheet. A text that has apostrophes before a formula by
itself gets one more, so that removing one always gives the original back. The same holds inside a text after a
character at which a spreadsheet with other settings begins a new cell (``;``, tab, line break).
"""

import re

FORMULA = "[-=+@\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH COMMERCIAL AT}]"
"""The first characters of a formula; spreadsheets accept their full-width forms, too."""
SEPARATOR = r"[;\t\r\n]"
"""Characters that begin a new cell, apart from the comma, which the quotes of CSV protect."""

# Spreadsheets may ignore white space before a formula.
_FIRST = re.compile(rf"'*(?:\s|{FORMULA})")
_LATER = re.compile(rf"({SEPARATOR})(?='* *{FORMULA})")
_FIRST_MARKED = re.compile(rf"'+(?:\s|{FORMULA})")
_LATER_MARKED = re.compile(rf"({SEPARATOR})'(?='* *{FORMULA})")


def mark_formulas(text: str) -> str:
    """Return a text as a cell that no spreadsheet runs; :func:`unmark_formulas` gives the text back."""
    if _LATER.search(text):
        text = _LATER.sub(r"\1'", text)
    return f"'{text}" if _FIRST.match(text) else text


def unmark_formulas(cell: str) -> str:
    """Return the text of a cell without white space around it and the apostrophes that :func:`mark_formulas` adds.

    White space around keys and usernames is removed whichever way they come (:mod:`worker.jobs.request`).
    """
    if "'" not in cell:
        return cell.strip()
    cell = _LATER_MARKED.sub(r"\1", cell.lstrip())
    return (cell.removeprefix("'") if _FIRST_MARKED.match(cell) else cell).strip()
