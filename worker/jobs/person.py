"""A person by their external user keys and usernames: which rows are theirs, and which texts name them."""

import re

from linking.bulk import fold_key

HIDDEN = "(forgotten)"
"""Replaces a name in a text about somebody else."""
_BEFORE, _AFTER = r"(?<![\w@+.-])", r"(?![\w@+-]|\.\w)"
"""A name ends where no letter, digit or sign of usernames follows: ``s-1`` is not in ``s-10``, nor in a UUID."""


class Person:
    """A person.

    Args:
        names: their external user keys, compared without regard to case, and their usernames, compared exactly.

    Raises:
        ValueError: there is no name, or one is no text or is empty.
    """

    def __init__(self, *names: str) -> None:
        bad = [name for name in names if not isinstance(name, str) or not name.strip()]
        if bad or not names:
            msg = f"{bad[0]!r} is no name: " if bad else ""
            msg += "give external user keys and usernames of the person to forget, each a text that is not empty."
            raise ValueError(msg)
        self.names = sorted({name.strip() for name in names})
        self.keys = sorted({fold_key(name) for name in self.names})
        # The longest first: of two names, one may begin like the other.
        found = "|".join(re.escape(name) for name in sorted(self.names, key=len, reverse=True))
        mention = f"{_BEFORE}(?:{found}){_AFTER}"
        self._mention, self._in_any_case = re.compile(mention), re.compile(mention, re.IGNORECASE)

    def is_named(self, external_user_key: str, lms_username: str) -> bool:
        """Return whether a row of a mapping is the person's."""
        return fold_key(external_user_key) in self.keys or lms_username in self.names

    def is_in(self, text: str) -> bool:
        """Return whether a text names the person, in the spelling of one of the names."""
        return self._mention.search(text) is not None

    def may_be_in(self, text: str) -> bool:
        """Return whether a text names the person in any case: as a key, or it names a user with such a username."""
        return self._in_any_case.search(text) is not None

    def hide(self, text: str) -> str:
        """Return a text without the person's names."""
        return self._mention.sub(HIDDEN, text)
