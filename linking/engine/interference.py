"""Which learners interfere: those that share a token (a key without regard to case, a user) belong together."""

from collections.abc import Hashable, Iterable, Iterator


class Groups:
    """Disjoint groups of members, joined by the tokens that they share (union by token, with path halving)."""

    def __init__(self) -> None:
        self._parent: dict[int, int] = {}
        self._first: dict[Hashable, int] = {}

    def __iter__(self) -> Iterator[int]:
        """Iterate over the members."""
        return iter(self._parent)

    def add(self, member: int, tokens: Iterable[Hashable]) -> None:
        """Put ``member`` into the group of whoever has one of ``tokens``, joining groups where there are several."""
        self._parent.setdefault(member, member)
        for token in tokens:
            self._join(self._first.setdefault(token, member), member)

    def of(self, member: int) -> int:
        """Return the group of ``member``: the lowest member in it."""
        parent = self._parent
        while parent[member] != member:
            parent[member] = parent[parent[member]]
            member = parent[member]
        return member

    def _join(self, one: int, other: int) -> None:
        low, high = sorted((self.of(one), self.of(other)))
        self._parent[high] = low
