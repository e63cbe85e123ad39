"""Rules in Python for a slice and in SQL for a whole mapping give the same results in random worlds."""

from uuid import UUID

from django.db import transaction
from django.utils import timezone
from hypothesis import event, given

from linking.bulk import Learner, Outcome, count_relinks, interfering_learners
from linking.engine import load
from linking.engine.interference import group, tokens
from linking.engine.state import SliceState
from tests.support.jobs import submit
from tests.support.runs import learners_of, rehearsed_results
from tests.support.worlds import World, build, worlds
from tests.support.worlds.examples import random_worlds
from worker.models import LearnerOutcome

in_random_worlds = random_worlds(100)
FAULTS = {Outcome.COURSE_ERROR, Outcome.CONFLICT, Outcome.ERROR}


def groups_in_sql(program: UUID, mapping: dict[str, str]) -> dict[int, int]:
    """Return the lowest position of each interfering learner's group."""
    return interfering_learners(program, LearnerOutcome.objects.filter(job=submit(mapping, program)))


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
    mapping = dict(world.mapping)
    with transaction.atomic():
        build(world)
        groups = groups_in_python(world.program_uuid, learners_of(mapping))
        event(f"interfering learners: {bool(groups)}")

        assert groups_in_sql(world.program_uuid, mapping) == groups

        transaction.set_rollback(True)


@in_random_worlds
@given(world=worlds())
def test_relinks_counted_in_sql_are_those_of_the_engine(world: World) -> None:
    """Without learners that interfere, and without those that fail: the count is taken before either is known."""
    mapping = dict(world.mapping)
    program = world.program_uuid
    with transaction.atomic():
        build(world)
        interfering = groups_in_sql(program, mapping)
        mapping = {key: name for n, (key, name) in enumerate(mapping.items()) if n not in interfering}
        results = rehearsed_results(program, mapping)
        mapping = {
            result.learner.external_user_key: result.learner.lms_username
            for result in results
            if result.outcome not in FAULTS
        }
        relinked = [result for result in results if result.outcome == Outcome.RELINKED]
        event(f"relinks: {bool(relinked)}")
        if mapping:
            job = submit(mapping, program)
            assert count_relinks(program, LearnerOutcome.objects.filter(job=job)) == len(relinked)

        transaction.set_rollback(True)
