"""Learners that share a token belong together: the groups against a naive transitive closure."""

from hypothesis import given
from hypothesis import strategies as st

from linking.engine.interference import group

TOKENS = st.lists(st.one_of(st.integers(0, 6), st.sampled_from("abc")), max_size=4)


def closure(members: list[tuple[int, list[int | str]]]) -> dict[int, int]:
    """Return the lowest member of each member's group, joining members that share a token until nothing changes."""
    group_of = {member: member for member, _ in members}
    changed = True
    while changed:
        changed = False
        for one, its in members:
            for other, others in members:
                lowest = min(group_of[one], group_of[other])
                if (one == other or set(its) & set(others)) and (group_of[one], group_of[other]) != (lowest, lowest):
                    group_of[one] = group_of[other] = lowest
                    changed = True
    return group_of


@given(st.lists(st.tuples(st.integers(0, 9), TOKENS), max_size=12))
def test_groups_are_the_transitive_closure_of_sharing_a_token(members: list[tuple[int, list[int | str]]]) -> None:
    assert group(members) == closure(members)


def test_a_token_that_comes_late_joins_two_groups_under_their_lowest_member() -> None:
    members = [(7, ["a"]), (3, ["b"]), (9, ["a"]), (5, ["c"]), (8, ["b", "a"])]

    assert group(members) == {3: 3, 7: 3, 8: 3, 9: 3, 5: 5}


def test_a_long_chain_ends_in_one_group() -> None:
    chain = [(member, [member, member + 1]) for member in reversed(range(20_000))]

    assert set(group(chain).values()) == {0}
