"""External user keys without regard to case: the one folding rule.

Each character is folded by itself, as PostgreSQL's ``LOWER`` does: ``str.lower`` on a whole string would look at a
sigma's neighbours, and two spellings of one key would differ. :mod:`linking.lookups` is the same rule in the database.
"""


def fold_key(key: str) -> str:
    """Return the form of ``key`` under which two keys that differ only in case are the same."""
    return key.lower() if key.isascii() else "".join(map(str.lower, key))
