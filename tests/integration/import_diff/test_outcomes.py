"""Imports in diff mode: rows of learners that failed, or of jobs that were cancelled, refused or undone, come again."""

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.support.jobs import finish, linked, order, run, undo
from tests.support.nights import Nights, user_of
from tests.support.populations import add_learners
from tests.support.rows import make_user
from worker import jobs
from worker.exceptions import JobRefusedError
from worker.imports.import_file import ImportFileError
from worker.jobs.purge import purge_expired
from worker.models import UnsettledImport

if TYPE_CHECKING:
    from django.conf import LazySettings

Mapping = dict[str, str]


def test_a_learner_that_failed_is_submitted_again_and_one_that_was_linked_already_is_not(
    night: Nights, learners: Mapping
) -> None:
    linked({"s-1": learners["s-1"]})
    mapping = {**learners, "s-2": "late", "s-none": "u-1"}
    job = night.submit(mapping)
    assert run(job).keys() == {"s-1", "s-2", "s-none"}

    make_user("late")
    assert night(mapping) == ["s-2", "s-none"]
    assert user_of("s-2") == "late"
    assert night(mapping) == ["s-none"]


def test_a_job_that_is_still_open_counts_and_is_settled_when_it_has_ended(night: Nights, learners: Mapping) -> None:
    first = night.submit({**learners, "s-1": "nobody"})

    assert night({**learners, "s-1": "nobody"}) == []
    run(first)
    assert night({**learners, "s-1": "nobody"}) == ["s-1"]


def test_learners_of_a_cancelled_job_are_submitted_again(night: Nights, learners: Mapping) -> None:
    job = night.submit(learners)
    jobs.cancel(job.pk)
    finish(job)

    assert night({**learners, "s-none": "nobody"}) == [*learners, "s-none"]


def test_a_refused_file_does_not_count(night: Nights, learners: Mapping) -> None:
    night(learners)
    make_user("new")
    changed = {**learners, "s-1": "new"}

    with pytest.raises(ImportFileError):
        night(changed, max_relinks=0)

    assert night(changed) == ["s-1"]


def test_a_job_that_is_refused_when_it_is_to_begin_does_not_count(night: Nights, learners: Mapping) -> None:
    make_user("new")
    make_user("other")
    night(learners)
    ahead = jobs.submit(uuid4(), order({"s-1": "other", "s-2": "new"}))
    job = night.submit({**learners, "s-1": "new"}, max_relinks=0)
    assert job.waits_for == [str(ahead.pk)]
    run(ahead)
    with pytest.raises(JobRefusedError):
        run(job)
    with pytest.raises(JobRefusedError):
        finish(job)

    assert night({**learners, "s-1": "new", "s-none": "nobody"}) == ["s-1", "s-none"]


def test_what_was_undone_is_submitted_again(night: Nights, learners: Mapping) -> None:
    night(learners)
    make_user("wrong")
    wrong = night.submit({**learners, "s-1": "wrong", "s-new": "nobody"})
    run(wrong)
    assert user_of("s-1") == "wrong"
    undo(wrong)

    assert night({**learners, "s-1": "wrong"}) == ["s-1"]  # The file insists.


def test_the_right_file_after_a_wrong_one_that_was_undone_gives_every_learner_what_it_says(
    night: Nights, learners: Mapping
) -> None:
    more = learners | add_learners(2)
    night(learners)
    wrong = night.submit({**more, "s-1": more["s-2"], "s-2": more["s-1"]})
    run(wrong)
    undo(wrong)

    assert night(more) == ["s-1", "s-2", "s-6", "s-7"]
    assert {key: user_of(key) for key in more} == more


def test_a_purge_settles_first(night: Nights, learners: Mapping, settings: "LazySettings") -> None:
    night({**learners, "s-1": "nobody"})
    settings.LINKING_RETENTION_DAYS = 0
    purge_expired()
    settings.LINKING_RETENTION_DAYS = 90

    assert not UnsettledImport.objects.exists()
    assert night({**learners, "s-1": "nobody"}) == ["s-1"]
