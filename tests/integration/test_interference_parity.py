"""Rules in Python for a slice and in SQL for a whole mapping give the same results in random worlds."""

import re
from collections.abc import Sequence
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone
from hypothesis import assume, event, given

from linking.bulk import Learner, Outcome, count_relinks, interfering_learners
from linking.engine import load
from linking.engine.interference import group, tokens
from linking.engine.state import SliceState
from linking.keys import fold_key
from linking.outcomes import Result
from tests.support.jobs import submit
from tests.support.runs import learners_of, rehearsed_results
from tests.support.worlds import World, build, worlds
from tests.support.worlds.examples import random_worlds
from worker.jobs.slicing import mapping_of

in_random_worlds = random_worlds(100)
FIRST, LAST = "\N{GEORGIAN MTAVRULI CAPITAL LETTER AN}", "\N{GEORGIAN MTAVRULI CAPITAL LETTER LABIAL SIGN}"
NEWER_THAN_MYSQL = re.compile(f"[{FIRST}-{LAST}]")
"""Letters of Unicode 11: MySQL folds those of Unicode 9."""
FAULTS = {Outcome.COURSE_ERROR, Outcome.CONFLICT, Outcome.ERROR}


def assume_known_letters(world: World) -> None:
    """Leave out worlds with letters whose case the database does not know (decision 17)."""
    knows_all = connection.vendor != "mysql" or connection.mysql_is_mariadb  # type: ignore[attr-defined] # MySQL's
    assume(knows_all or not any(NEWER_THAN_MYSQL.search(key) for key, _ in world.mapping))


def groups_in_sql(program: UUID, mapping: dict[str, str]) -> dict[int, int]:
    """Return the lowest position of each interfering learner's group."""
    return interfering_learners(program, mapping_of(submit(mapping, program))).groups


def groups_in_python(program: UUID, learners: list[Learner]) -> dict[int, int]:
    """Return the same from the tokens of each learner, with all rows in memory that could matter."""
    state = SliceState()
    load.read_enrollments(state, program, {learner.external_user_key for learner in learners})
    load.read_users(state, {learner.lms_username for learner in learners}, [])
    enrollments = [enrollment for matches in state.enrollments.values() for enrollment in matches]
    load.read_courses(state, [(enrollment, None) for enrollment in enrollments], timezone.now())
    first_of = group((learner.position, tokens(state, learner)) for learner in learners)
    sizes = [*first_of.values()]
    return {position: first for position, first in first_of.items() if sizes.count(first) > 1}


@in_random_worlds
@given(world=worlds())
def test_tokens_group_the_same_learners_in_sql_and_in_python(world: World) -> None:
    assume_known_letters(world)
    mapping = dict(world.mapping)
    with transaction.atomic():
        build(world)
        groups = groups_in_python(world.program_uuid, learners_of(mapping))
        event(f"interfering learners: {bool(groups)}")

        assert groups_in_sql(world.program_uuid, mapping) == groups

        transaction.set_rollback(True)


@in_random_worlds
@given(world=worlds())
def test_relinks_are_counted_as_the_job_makes_them_and_never_too_few_where_learners_fail(world: World) -> None:
    assume_known_letters(world)
    mapping, program = dict(world.mapping), world.program_uuid
    with transaction.atomic():
        build(world)
        while mapping:
            results = rehearsed_results(program, mapping)
            relinked = [result.learner for result in results if result.outcome == Outcome.RELINKED]
            failed = [result.learner.external_user_key for result in results if result.outcome in FAULTS]
            counted = count_relinks(program, mapping_of(submit(mapping, program)))
            assert counted >= len(relinked)
            if not failed:  # Then the count is exact.
                assert counted == len(relinked)
                event(f"relinks: {bool(relinked)}, from earlier learners: {_relinks_of_earlier(results)}")
                break
            for key in failed:
                del mapping[key]

        transaction.set_rollback(True)


def _relinks_of_earlier(results: Sequence[Result]) -> bool:
    """Return whether an enrollment was relinked whose user was set by an earlier learner of the mapping."""
    linked: set[str] = set()
    for result in results:
        key = fold_key(result.learner.external_user_key)
        if result.outcome == Outcome.RELINKED and key in linked:
            return True
        if result.outcome in {Outcome.LINKED, Outcome.RELINKED}:
            linked.add(key)
    return False
