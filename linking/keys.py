"""Comparison of external user keys without regard to case, and a check that a database can store a text.

Each character is folded by itself, as PostgreSQL's ``LOWER`` does: ``str.lower`` on a whole string would treat a sigma
by its neighbours, and two spellings of one key would differ. :mod:`linking.sql` has the rule in SQL.
"""

SIGMA = "\N{GREEK CAPITAL LETTER SIGMA}"
"""The one letter that ``str.lower`` treats by its neighbours."""
DOTTED_I = "\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}"
"""The one letter that ``str.lower`` turns into two; to a database it is an ``i``."""


def fold_key(key: str) -> str:
    """Return the form of ``key`` under which two keys that differ only in case are the same."""
    if key.isascii():
        return key.lower()
    key = key.replace(DOTTED_I, "i")
    return "".join(map(str.lower, key)) if SIGMA in key else key.lower()


def is_storable(text: str) -> bool:
    """Return whether a database can store ``text``: no NUL, no half of a surrogate pair (JSON can carry both)."""
    return "\0" not in text and (text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text))
