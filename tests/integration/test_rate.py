"""The maximum rate: how many learners are linked in a time, in steps, and what a process does that must wait."""

import time
from typing import TYPE_CHECKING

import pytest

from tests.support.jobs import finish, submit
from tests.support.populations import add_learners
from worker import jobs
from worker.jobs import rate
from worker.jobs.slices import run_slice
from worker.models import JobSlice, LearnerOutcome, LinkingJob, RateLimit

if TYPE_CHECKING:
    from django.conf import LazySettings

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def limit(settings: "LazySettings") -> "LazySettings":
    settings.LINKING_MAX_LEARNERS_PER_SECOND = 100
    return settings


def large() -> LinkingJob:
    return LinkingJob(total=1_000_000)


def small() -> LinkingJob:
    return LinkingJob(total=1)


def seconds_to_take(job: LinkingJob, learners: int, step: int) -> float:
    began = time.monotonic()
    for _ in range(learners // step):
        while not rate.take_all(job, step):
            pass
    return time.monotonic() - began


def test_more_than_two_seconds_of_the_rate_are_not_saved_up_and_the_rest_takes_its_time(limit: "LazySettings") -> None:
    assert not RateLimit.objects.exists()

    # 200 at once, 150 in 1.5 s, of which one step is taken in advance.
    assert seconds_to_take(large(), 350, 10) >= 1.39


def test_a_process_waits_for_a_short_time_only_and_keeps_nothing(limit: "LazySettings") -> None:
    assert rate.take_all(large(), 4_000)
    free_at = RateLimit.objects.get().free_at

    began = time.monotonic()
    assert not rate.take_all(large(), 1)
    assert time.monotonic() - began >= rate.PATIENCE
    assert RateLimit.objects.get().free_at == free_at


def test_after_a_delay_a_transaction_links_what_the_bucket_holds_and_then_a_step(limit: "LazySettings") -> None:
    assert rate.take(large(), 1_000) == 20  # It makes the bucket.
    assert rate.take(large(), 1_000) == 200  # Two seconds of the rate, where a fifth is still left.
    assert rate.take(large(), 1_000) in {0, 20}


def test_a_small_job_takes_in_advance_what_a_large_one_waits_for(
    limit: "LazySettings", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate, "AHEAD", 60.0)
    assert rate.take_all(large(), 6_000)  # Almost a minute in advance.
    assert not rate.take_all(large(), 1)
    assert rate.take_all(small(), 1)
    assert rate.take_all(small(), 6_000)
    assert not rate.take_all(small(), 1)  # Now all that may be taken in advance is.


def test_a_slice_is_linked_in_steps_and_left_when_its_time_is_up(limit: "LazySettings") -> None:
    job = submit(add_learners(400), learners_per_subtask=400)
    jobs.start(job)

    runs = 0
    while not (run := run_slice(job.pk, 0)).finished:
        assert run.processed <= 280
        runs += 1

    assert runs >= 1
    assert finish(job) == {}
    ends = LearnerOutcome.objects.order_by("finished").values_list("finished", flat=True)
    assert 3 <= len(set(ends)) <= 12  # What the bucket held, and steps of a fifth of a second.
    assert JobSlice.objects.get().attempts == 0


def test_a_slice_that_must_wait_counts_no_attempt_and_leaves_a_sign_of_life(limit: "LazySettings") -> None:
    job = submit(add_learners(101), learners_per_subtask=101)
    jobs.start(job)
    assert rate.take_all(large(), 5_000)

    run = run_slice(job.pk, 0)

    assert (run.finished, run.processed, run.is_paused) == (False, 0, False)
    part = JobSlice.objects.get()
    assert (part.attempts, part.started) == (0, None)
    assert part.touched is not None


def test_a_dry_run_of_a_slice_is_taken_as_a_whole(limit: "LazySettings") -> None:
    limit.LINKING_MAX_LEARNERS_PER_SECOND = 10
    job = submit(add_learners(300), learners_per_subtask=300, dry_run=True)
    jobs.start(job)

    assert run_slice(job.pk, 0).finished
    assert not rate.take_all(large(), 1)
    assert RateLimit.objects.get().free_at > time.time() + 0.1


def test_a_slice_whose_workers_died_is_limited_learner_by_learner(limit: "LazySettings") -> None:
    job = submit(add_learners(3), learners_per_subtask=3)
    jobs.start(job)
    JobSlice.objects.update(attempts=2)

    free_at = time.time() + rate.AHEAD  # No more is taken in advance.
    RateLimit.objects.create(pk=rate.BUCKET, free_at=free_at - 0.015)
    while not run_slice(job.pk, 0).finished:
        JobSlice.objects.update(attempts=2)

    assert RateLimit.objects.get().free_at > free_at
    assert LearnerOutcome.objects.filter(outcome="linked", attempts=2).count() == 3


def test_without_a_limit_nothing_is_asked_of_the_bucket() -> None:
    job = submit(add_learners(2), learners_per_subtask=2)
    jobs.start(job)

    assert run_slice(job.pk, 0).finished
    assert not RateLimit.objects.exists()
