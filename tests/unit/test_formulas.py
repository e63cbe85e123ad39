"""Cells of reports: a spreadsheet runs none of them, and an import reads the text that was written."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.formulas import FORMULA, mark_formulas, unmark_formulas

TEXTS = st.text() | st.text(alphabet="'=-+@＝ ;\t\r\n1a")


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        *((f"{first}1+1", f"'{first}1+1") for first in "=+-@＝＋－＠\t\r\n "),
        ("\t=1", "'\t'=1"),
        ("'=1", "''=1"),
        ("''-1", "'''-1"),
        ("a;=1\n@b\t; +2", "a;'=1\n'@b\t;' +2"),
        *((plain, plain) for plain in ("", "'", "'a'", "O'Hara", "s-1", "a=b", "1+1; not granted", "a,=b")),
    ],
)
def test_an_apostrophe_precedes_what_a_spreadsheet_would_run(text: str, cell: str) -> None:
    assert mark_formulas(text) == cell


@given(TEXTS)
def test_no_cell_runs_wherever_a_spreadsheet_splits_it(text: str) -> None:
    cell = mark_formulas(text)

    assert not re.match(rf"\s*{FORMULA}", cell)
    assert not any(re.match(f" *{FORMULA}", part) for part in re.split("[;\t\r\n]", cell))


@given(TEXTS)
def test_the_text_of_a_cell_is_read_as_it_was_except_for_white_space_around_it(text: str) -> None:
    assert unmark_formulas(mark_formulas(text)) == text.strip()


@pytest.mark.parametrize("cell", ["=1", "  =1 ", "-7", "@home", "a;=1", "O'Hara", " 's-1' "])
def test_a_file_that_was_not_marked_is_read_as_it_is(cell: str) -> None:
    assert unmark_formulas(cell) == cell.strip()
