"""The spellings of a key that find it in an index of MySQL, whose collation may not know both cases of a letter."""

import re
import unicodedata
from itertools import product

from linking.keys import fold_key

MOST_VARIED = 4
"""Letters of a key which a collation may not know up to which the key is looked up with every mixture of their cases.

Above it: as given, in lower case, in upper case, and with capitals at the beginning of the key and of its words.
"""
WORD = re.compile(r"(\w)(\w*)")


def spellings_of(key: str) -> set[str]:
    """Return the spellings of a key that find it in the index on keys, whatever its case."""
    if key.isascii():
        return {key}
    lower = fold_key(key)
    newer = [place for place, letter in enumerate(lower) if _is_newer(letter)]
    spellings = {key, lower, "".join(map(_upper, lower))}
    if len(newer) <= MOST_VARIED:
        for cases in product((False, True), repeat=len(newer)):
            capitals = {place for place, is_capital in zip(newer, cases, strict=True) if is_capital}
            letters = enumerate(lower)
            spellings.add("".join(_upper(it) if place in capitals else it for place, it in letters))
    else:
        spellings |= {_upper(lower[0]) + lower[1:], WORD.sub(lambda word: _upper(word[1]) + word[2], lower)}
    return spellings


def _upper(letter: str) -> str:
    upper = "\N{LATIN CAPITAL LETTER SHARP S}" if letter == "ß" else letter.upper()
    return upper if fold_key(upper) == letter else letter


def _is_newer(letter: str) -> bool:
    """Return whether ``utf8mb4_unicode_ci``, which is as old as Unicode 4, may not know the two cases of a letter."""
    category = unicodedata.ucd_3_2_0.category
    upper = _upper(letter)
    return upper != letter and "Cn" in {category(letter), category(upper)}
