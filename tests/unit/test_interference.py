"""Learners that share a token belong together: the groups against a naive transitive closure."""

from hypothesis import given
from hypothesis import strategies as st

from linking.engine.interference import Groups

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
    groups = Groups()
    for member, tokens in members:
        groups.add(member, tokens)

    assert {member: groups.of(member) for member in groups} == closure(members)


def test_a_token_that_comes_late_joins_two_groups_under_their_lowest_member() -> None:
    groups = Groups()
    groups.add(7, ["a"])
    groups.add(3, ["b"])
    groups.add(9, ["a"])
    groups.add(5, ["c"])
    groups.add(8, ["b", "a"])

    assert {member: groups.of(member) for member in groups} == {3: 3, 7: 3, 8: 3, 9: 3, 5: 5}


def test_a_long_chain_ends_in_one_group() -> None:
    groups = Groups()
    for member in reversed(range(20_000)):
        groups.add(member, [member, member + 1])

    assert {groups.of(member) for member in groups} == {0}
