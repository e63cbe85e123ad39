"""Which learners interfere, and must therefore run in mapping order.

Two learners interfere when they share a token. A learner's tokens are

- its external user key, folded,
- the id of the LMS user that it names,
- of each program enrollment with its key, whatever the case: the id of the user that it is linked to, and
- the id of each user whose course enrollment it points at.

:func:`tokens` has this in Python, for the rows that a slice has read; :mod:`linking.mapping` has it in SQL, for a whole
mapping. A test compares the two.
"""

from collections.abc import Hashable, Iterable

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


def group(tokens_of_members: Iterable[tuple[int, Iterable[Hashable]]]) -> dict[int, int]:
    """Group members that share tokens, directly or through others (union-find with path halving).

    Returns:
        For each member, the lowest member of its group.
    """
    parent: dict[int, int] = {}
    first: dict[Hashable, int] = {}

    def lowest(member: int) -> int:
        while parent[member] != member:
            parent[member] = parent[parent[member]]
            member = parent[member]
        return member

    for member, tokens_of_member in tokens_of_members:
        parent.setdefault(member, member)
        for token in tokens_of_member:
            low, high = sorted((lowest(first.setdefault(token, member)), lowest(member)))
            parent[high] = low
    return {member: lowest(member) for member in parent}
