"""External user keys: without regard to case, and which of them a database can hold at all.

Each character is folded by itself, as PostgreSQL's ``LOWER`` does: ``str.lower`` on a whole string would look at a
sigma's neighbours, and two spellings of one key would differ. :mod:`linking.sql` has the rule in SQL.
"""


def fold_key(key: str) -> str:
    """Return the form of ``key`` under which two keys that differ only in case are the same."""
    return key.lower() if key.isascii() else "".join(map(str.lower, key))


def is_storable(text: str) -> bool:
    """Tell whether a database can store ``text``: no NUL, no half of a surrogate pair (JSON can carry both)."""
    return "\0" not in text and (text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text))
