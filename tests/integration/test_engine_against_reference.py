"""The engine against the sequential reference: random worlds, every row and every message the same.

``LINKING_WORLDS=1000`` runs that many worlds, new ones each time; without it a fixed set of 100 runs.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import pytest
from django.db import transaction
from hypothesis import event, given, settings
from hypothesis import strategies as st

from linking.models import CourseEnrollment
from linking.outcomes import Outcome, Result
from tests.support import reference
from tests.support.runs import link_by_engine, rehearsed_results, results_by_slices
from tests.support.signals import announced
from tests.support.worlds import Snapshot, World, build, clear, interferences, snapshot, worlds
from tests.support.worlds.examples import long_timeout, number_of, random_worlds

T = TypeVar("T")

WORLDS = number_of(100)
SLICE_SIZES = st.sampled_from([1000, 1, 2, 3])

pytestmark = long_timeout(100)
against_the_reference = random_worlds(100)


class Results(NamedTuple):
    """The results of a run, each dictionary by external user key.

    ``warnings`` counts those about course roles, the only ones that the reference has, too.
    """

    errors: dict[str, str]
    outcomes: dict[str, Outcome]
    warnings: dict[str, int]


@contextmanager
def taken_back() -> Iterator[None]:
    """Undo what happens inside: transactions inside are savepoints."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def by_reference(world: World) -> Results:
    """Run the reference."""
    run = reference.link_program_enrollments(world.program_uuid, dict(world.mapping))
    return Results(run.errors, run.outcomes, {key: _about_roles(warnings) for key, warnings in run.warnings.items()})


def by_slices(world: World, slice_size: int) -> Results:
    """Run the engine slice by slice."""
    return _results(results_by_slices(world.program_uuid, dict(world.mapping), slice_size))


def by_rehearsal(world: World) -> Results:
    """Run the engine and take it back."""
    return _results(rehearsed_results(world.program_uuid, dict(world.mapping)))


def by_api(world: World) -> dict[str, str]:
    """Run the whole workflow in process."""
    return link_by_engine(dict(world.mapping), world.program_uuid)


def _results(results: Sequence[Result]) -> Results:
    return Results(
        {result.learner.external_user_key: result.message for result in results if result.message},
        {result.learner.external_user_key: result.outcome for result in results},
        {result.learner.external_user_key: _about_roles(result.warnings) for result in results},
    )


def _about_roles(warnings: Sequence[str]) -> int:
    return sum("role" in warning for warning in warnings)


def in_a_fresh_world(world: World, run: Callable[[World], T]) -> tuple[T, Snapshot]:
    """Build ``world``, run, and return what the run gave and every row as it left them."""
    with taken_back():
        build(world)
        return run(world), snapshot()


@against_the_reference
@given(world=worlds(padded=True), slice_size=SLICE_SIZES)
def test_rows_messages_outcomes_and_warnings_are_those_of_the_reference(world: World, slice_size: int) -> None:
    said, rows = in_a_fresh_world(world, by_reference)
    for kind in {*interferences(world), *(f"outcome {outcome}" for outcome in said.outcomes.values())}:
        event(kind)

    assert in_a_fresh_world(world, by_api) == (said.errors, rows)
    assert in_a_fresh_world(world, lambda world: by_slices(world, slice_size)) == (said, rows)
    _, untouched = in_a_fresh_world(world, lambda _: None)
    assert in_a_fresh_world(world, by_rehearsal) == (said, untouched)


@pytest.mark.django_db(transaction=True)
@settings(against_the_reference, max_examples=max(WORLDS // 10, 10))
@given(world=worlds(padded=True))
def test_in_transactions_of_their_own_it_is_the_same_and_every_change_is_announced(world: World) -> None:
    def facts(
        course_enrollment: CourseEnrollment, *, created: bool, **_: Any
    ) -> tuple[tuple[int, str], tuple[Any, ...]]:
        row = course_enrollment
        return (row.user_id, str(row.course_id)), (row.mode, row.is_active, created)

    clear()
    build(world)
    before = _course_enrollments()
    errors = by_reference(world).errors
    rows = snapshot()
    clear()
    build(world)
    with announced(facts) as signals:
        assert by_api(world) == errors
    assert snapshot() == rows

    notified: dict[tuple[int, str], list[tuple[Any, ...]]] = {}
    for key, values in signals:
        notified.setdefault(key, []).append(values)
    after = _course_enrollments()
    assert {key for key in after if after[key] != before.get(key)} <= notified.keys()
    for key, said in notified.items():
        assert said[-1][:2] == after[key]
        assert [created for *_, created in said] == [key not in before] + [False] * (len(said) - 1)


def _course_enrollments() -> dict[tuple[int, str], tuple[str, bool]]:
    return {(user, course): (mode, active) for user, course, mode, active in snapshot()["course enrollments"]}
