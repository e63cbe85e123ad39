"""Jobs over random worlds: a dry run predicts the run and leaves no trace, and an undo restores every row.

``LINKING_WORLDS=300`` runs that many worlds, new ones each time; without it a fixed set of 30 runs.
"""

from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from linking.models import CourseEnrollment
from tests.support.jobs import run, run_job, submit, undo
from tests.support.signals import announced
from tests.support.tables import every_row
from tests.support.worlds import World, build, clear, interferences, worlds
from tests.support.worlds.examples import long_timeout, random_worlds
from worker.models import LearnerOutcome, LinkingJob

SLICE_SIZES = st.sampled_from([1000, 1, 3])

pytestmark = [pytest.mark.django_db(transaction=True), long_timeout(30)]
thirty_worlds = random_worlds(30)


def recorded(job: LinkingJob) -> list[tuple[Any, ...]]:
    """Return the outcome of each learner in the ledger, without ids that only a real run has."""
    rows = LearnerOutcome.objects.filter(job=job).order_by("position")
    return list(rows.values_list("position", "external_user_key", "outcome", "message", "warnings", "attempts"))


def changed_row(course_enrollment: CourseEnrollment, **_: object) -> tuple[int, str]:
    return course_enrollment.user_id, str(course_enrollment.course_id)


def begin(world: World) -> None:
    """Write the rows of ``world``, and no others."""
    LinkingJob.objects.exclude(undoes=None).delete()
    LinkingJob.objects.all().delete()
    clear()
    build(world)


@thirty_worlds
@given(world=worlds(), slice_size=SLICE_SIZES)
def test_a_dry_run_leaves_no_trace_and_predicts_the_run(world: World, slice_size: int) -> None:
    begin(world)
    before = every_row()
    mapping, program = dict(world.mapping), world.program_uuid

    dry = submit(mapping, program, dry_run=True, learners_per_subtask=slice_size)
    with announced(changed_row) as signals:
        errors = run(dry)

    assert every_row() == before
    assert signals == []
    real = submit(mapping, program, learners_per_subtask=slice_size)
    assert run(real) == errors
    assert recorded(real) == recorded(dry)
    assert real.counts == dry.counts


@thirty_worlds
@given(world=worlds(), slice_size=SLICE_SIZES)
def test_run_then_undo_is_as_before_and_as_its_dry_run_predicted(world: World, slice_size: int) -> None:
    begin(world)
    before = every_row(but="modified")
    job = run_job(dict(world.mapping), world.program_uuid, learners_per_subtask=slice_size)
    linked = sum(job.counts.get(outcome, 0) for outcome in ("linked", "relinked"))
    if not linked:
        event("nothing to undo")
        return
    for kind in interferences(world):
        event(kind)
    after = every_row()

    with announced(changed_row) as signals:
        dry = undo(job, dry_run=True)
    assert every_row() == after
    assert signals == []

    with announced(changed_row) as signals:
        undoing = undo(job)
    assert {row[3] for row in recorded(undoing)} == {""}
    assert every_row(but="modified") == before
    assert recorded(undoing) == recorded(dry)
    assert undoing.counts == dry.counts == {"undone": linked}
    changed = {
        (row["user_id"], row["course_id"])
        for one, other in ((before, after), (after, before))
        for row in one["student_courseenrollment"]
        if row not in other["student_courseenrollment"]
    }
    assert changed <= set(signals)


@thirty_worlds
@given(world=worlds(), slice_size=SLICE_SIZES, turn=st.integers(0, 2), in_order=st.booleans())
def test_two_jobs_undone_from_the_last_leave_nothing_behind_and_from_the_first_nothing_broken(
    world: World, slice_size: int, turn: int, in_order: bool
) -> None:
    """In the wrong order, learners whom the other job has changed stay; never does the database have to refuse one."""
    begin(world)
    before = every_row(but="modified")
    mapping = dict(world.mapping)
    names = list(mapping.values())
    turned = dict(zip(reversed(mapping), names[turn:] + names[:turn], strict=True))
    first, second = (submit(each, world.program_uuid, learners_per_subtask=slice_size) for each in (mapping, turned))
    run(first)
    run(second)

    for job in (second, first) if in_order else (first, second):
        if job.counts.keys() & {"linked", "relinked"}:
            counts = undo(job).counts
            event(f"{'in order' if in_order else 'in the wrong order'}: {', '.join(sorted(counts))}")
            assert counts.keys() <= ({"undone"} if in_order else {"undone", "changed_since"})

    if in_order:
        assert every_row(but="modified") == before
