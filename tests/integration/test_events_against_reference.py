"""The outbox against the sequential reference: random worlds, the same steps for each user in the same order.

``LINKING_WORLDS=1000`` runs that many worlds, new ones each time; without it a fixed set of 60 runs.
"""

from collections.abc import Iterable

import pytest
from django.db import transaction
from django.test import override_settings
from hypothesis import event, given
from hypothesis import strategies as st

from linking.events import Event
from linking.models import CourseAccessRole, CourseEnrollment
from tests.support import reference
from tests.support.course_enrollments import State, Step
from tests.support.jobs import run_job, undo
from tests.support.outbox import by_user, recorded_steps
from tests.support.runs import link_by_engine, rehearsed_results, results_by_slices
from tests.support.worlds import World, build, clear, interferences, worlds
from tests.support.worlds.examples import long_timeout, random_worlds
from worker.models import LinkingJob

pytestmark = long_timeout(60)
against_the_reference = random_worlds(60)

Enrollments = dict[tuple[int, str], State]


def enrollments() -> Enrollments:
    """Return the state of each course enrollment by user and course."""
    rows = CourseEnrollment.objects.values_list("user_id", "course_id", "is_active", "mode")
    return {(user, str(course)): (is_active, mode) for user, course, is_active, mode in rows}


def roles() -> set[tuple[int, str, str]]:
    rows = CourseAccessRole.objects.values_list("user_id", "course_id", "role")
    return {(user, str(course), role) for user, course, role in rows}


def replay(steps: Iterable[Step], found: Enrollments, held: set[tuple[int, str, str]]) -> None:
    """Apply steps to the rows before them; each must begin where the one before it has ended."""
    for step in steps:
        key = (step.user, step.course)
        if step.role:
            change = {(*key, step.role)}
            assert held.isdisjoint(change) == (step.kind == "role_granted")
            held ^= change
            continue
        assert found.get(key) == step.before != step.after
        if step.after is None:
            del found[key]
        else:
            found[key] = step.after


@against_the_reference
@given(world=worlds(padded=True), slice_size=st.sampled_from([1000, 1, 2, 3]))
def test_the_steps_are_those_of_the_reference(world: World, slice_size: int) -> None:
    mapping, program = dict(world.mapping), world.program_uuid
    expected: dict[int, list[Step]] = {}

    with transaction.atomic():
        build(world)
        expected = by_user(reference.link_program_enrollments(program, mapping).steps)
        transaction.set_rollback(True)
    for kind in {*interferences(world), *(step.kind for steps in expected.values() for step in steps)}:
        event(kind)

    for link in (
        lambda: link_by_engine(mapping, program),
        lambda: results_by_slices(program, mapping, slice_size),
    ):
        with transaction.atomic(), override_settings(LINKING_EVENTS=True):
            build(world)
            link()
            assert by_user(recorded_steps()) == expected
            transaction.set_rollback(True)

    with transaction.atomic(), override_settings(LINKING_EVENTS=True):
        build(world)
        rehearsed_results(program, mapping)
        assert recorded_steps() == []
        transaction.set_rollback(True)


@pytest.mark.django_db(transaction=True)
@random_worlds(30)
@given(world=worlds(), slice_size=st.sampled_from([1000, 1, 2, 3]))
def test_the_steps_of_a_job_and_of_its_undo_lead_from_row_to_row(world: World, slice_size: int) -> None:
    LinkingJob.objects.exclude(undoes=None).delete()
    LinkingJob.objects.all().delete()
    Event.objects.all().delete()
    clear()
    build(world)
    found, held = enrollments(), roles()
    before = (dict(found), set(held))

    with override_settings(LINKING_EVENTS=True):
        job = run_job(dict(world.mapping), world.program_uuid, learners_per_subtask=slice_size)
        steps = recorded_steps()
        replay(steps, found, held)
        assert (found, held) == (enrollments(), roles())
        if not job.counts.keys() & {"linked", "relinked"}:
            return
        undo(job, dry_run=True)
        assert recorded_steps() == steps
        undo(job)

    undone = recorded_steps()[len(steps) :]
    replay(undone, found, held)
    assert (found, held) == (enrollments(), roles()) == before
    assert all(step.skip_refund for step in undone if not step.role)
