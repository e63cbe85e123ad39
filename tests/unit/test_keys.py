"""Keys that differ only in case fold to the same, one letter at a time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linking.keys import fold_key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("S-1", "s-1"),
        ("ÉCOLE", "école"),
        ("\N{CYRILLIC CAPITAL LETTER ZHE}", "\N{CYRILLIC SMALL LETTER ZHE}"),
        ("A\N{GREEK CAPITAL LETTER SIGMA}", "a\N{GREEK SMALL LETTER SIGMA}"),
        ("\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}1", "i1"),
        ("\N{LATIN CAPITAL LETTER SHARP S}", "\N{LATIN SMALL LETTER SHARP S}"),
        ("\N{FULLWIDTH LATIN CAPITAL LETTER A}", "\N{FULLWIDTH LATIN SMALL LETTER A}"),
    ],
)
def test_keys_that_differ_only_in_case_are_the_same(one: str, other: str) -> None:
    assert fold_key(one) == fold_key(other) == other


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("s-1", "s_1"),
        ("s-1", "s-1 "),
        ("é", "e"),
        ("\N{FULLWIDTH LATIN SMALL LETTER A}", "a"),
        ("\N{LATIN SMALL LETTER DOTLESS I}", "i"),
        ("\N{LATIN SMALL LETTER SHARP S}", "ss"),
        ("\N{GREEK SMALL LETTER FINAL SIGMA}", "\N{GREEK SMALL LETTER SIGMA}"),
        ("é", "e\N{COMBINING ACUTE ACCENT}"),
    ],
)
def test_keys_that_differ_in_more_are_not(one: str, other: str) -> None:
    assert fold_key(one) != fold_key(other)


@given(st.text(), st.text())
def test_a_letter_folds_alike_whatever_its_neighbours(one: str, other: str) -> None:
    assert fold_key(one + other) == fold_key(one) + fold_key(other)


@given(st.text())
def test_folding_twice_is_folding_once(key: str) -> None:
    assert fold_key(fold_key(key)) == fold_key(key)
