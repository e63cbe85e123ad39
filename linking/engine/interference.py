"""Which learners interfere, and must therefore run in mapping order.

Two learners interfere when they share a token. A learner's tokens are

- its external user key, folded,
- the id of the LMS user that it names,
- of each program enrollment with its key, whatever the case: the id of the user that it is linked to, and
- the id of each user whose course enrollment it points at.

:func:`tokens` has this in Python, for the rows that a slice has read; :mod:`linking.mapping` has it in SQL, for a whole
mapping. A test compares the two.
"""

from collections.abc import Hashable, Iterable, Iterator

from linking.engine.state import SliceState
from linking.keys import fold_key
from linking.outcomes import Learner


def tokens(state: SliceState, learner: Learner) -> set[Hashable]:
    """Return the tokens of ``learner``, as far as ``state`` has its rows."""
    key = fold_key(learner.external_user_key)
    user = state.users.get(learner.lms_username)
    found: set[Hashable] = {key, user and user.id}
    for enrollment in state.enrollments.get(key, ()):
        found.add(enrollment.stored_user_id)
        found.update(course.points_at.user_id for course in enrollment.courses if course.points_at)
    return found - {None}


class Groups:
    """Disjoint groups of members that share tokens, directly or through others (union-find with path halving)."""

    def __init__(self) -> None:
        self._parent: dict[int, int] = {}
        self._first: dict[Hashable, int] = {}

    def __iter__(self) -> Iterator[int]:
        """Iterate over the members."""
        return iter(self._parent)

    def add(self, member: int, tokens: Iterable[Hashable]) -> None:
        """Add ``member``, and join the groups that have one of its tokens."""
        self._parent.setdefault(member, member)
        for token in tokens:
            low, high = sorted((self.of(self._first.setdefault(token, member)), self.of(member)))
            self._parent[high] = low

    def of(self, member: int) -> int:
        """Return the group of ``member``: the lowest member in it."""
        parent = self._parent
        while parent[member] != member:
            parent[member] = parent[parent[member]]
            member = parent[member]
        return member
