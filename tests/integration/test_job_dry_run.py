"""A dry run: the outcomes of the real run in the ledger, and nothing else changed."""

from typing import Any

import pytest

from tests.support.jobs import run, submit
from tests.support.populations import add_learners_of_every_kind
from tests.support.rows import enroll, make_user
from tests.support.signals import announced
from tests.support.tables import every_row
from worker.jobs.slices import run_slice
from worker.models import JobSlice, LearnerOutcome, LinkingJob


def said(job: LinkingJob) -> list[tuple[Any, ...]]:
    """Return all that the ledger says of each learner, but for ids that only a real run has."""
    rows = LearnerOutcome.objects.filter(job=job).order_by("position")
    return list(rows.values_list("external_user_key", "outcome", "message", "warnings", "attempts"))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("learners_per_subtask", [1, 9, 70])
def test_a_dry_run_changes_no_row_sends_no_signal_and_ends_like_the_real_run(learners_per_subtask: int) -> None:
    mapping = add_learners_of_every_kind(70)
    before = every_row()
    dry = submit(mapping, dry_run=True, learners_per_subtask=learners_per_subtask)
    with announced() as signals:
        errors = run(dry)

    assert every_row() == before
    assert signals == []
    assert dry.counts["linked"] == 20
    assert dry.counts["relinked"] == 10

    real = submit(mapping, learners_per_subtask=learners_per_subtask)
    assert run(real) == errors
    assert said(real) == said(dry)
    assert real.counts == dry.counts
    assert every_row() != before


@pytest.mark.django_db(transaction=True)
def test_a_dry_run_delivered_twice_settles_each_learner_once() -> None:
    make_user("ada")
    enroll("s-1")
    dry = submit({"s-1": "ada", "s-2": "bob"}, dry_run=True, learners_per_subtask=2)

    first = run_slice(dry.pk, 0)
    again = run_slice(dry.pk, 0)

    assert (first.processed, again.processed) == (2, 0)
    assert first.counts == again.counts == {"linked": 1, "no_user": 1}
    assert JobSlice.objects.get().counts == first.counts
    assert set(LearnerOutcome.objects.values_list("attempts", flat=True)) == {1}
