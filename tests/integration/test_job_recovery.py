"""A stalled job is claimed once by recovery, not before it has stalled, and not forever."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from django.conf import settings
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from tests.support.jobs import outcomes, run_slices, submit
from tests.support.populations import add_learners
from tests.support.threads import at_once
from worker.jobs import recovery
from worker.jobs.recovery import MAX_RESUMES, claim_stalled_jobs, routes_in_use
from worker.jobs.routing import ROUTES, note_marker
from worker.jobs.slices import run_slice
from worker.models import Claim, JobSlice, LinkingJob

STALL_AFTER = settings.LINKING_STALL_AFTER
LONG = 10_000
"""Times STALL_AFTER: longer than any wait between two claims."""
only_postgres = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one lock for everything")


def ago(seconds: float) -> datetime:
    """Return the moment ``seconds`` ago."""
    return timezone.now() - timedelta(seconds=seconds)


def stalled_job() -> LinkingJob:
    """Write a job that was dispatched long ago and made no progress since."""
    job, then = submit(add_learners(3)), ago(LONG * STALL_AFTER)
    LinkingJob.objects.filter(pk=job.pk).update(created=then, dispatched=then, state="running")
    job.refresh_from_db()
    return job


def age(job: LinkingJob, seconds: float) -> None:
    """Let the last claim of the job be ``seconds`` ago."""
    LinkingJob.objects.filter(pk=job.pk).update(resumed=ago(seconds))


def claimed() -> list[UUID]:
    """Claim the stalled jobs after all messages were delivered; return their ids."""
    for route in ROUTES:
        note_marker(route.name, timezone.now())
    stalled, after = claim_stalled_jobs()
    assert after is None
    return [job.pk for job in stalled]


@pytest.mark.parametrize(("share", "is_stalled"), [(0.9, False), (1.1, True)])
@pytest.mark.parametrize("what", ["dispatched", "touched"])
def test_a_job_is_stalled_when_its_last_progress_is_old_enough(what: str, share: float, is_stalled: bool) -> None:
    job = stalled_job()
    if what == "dispatched":
        LinkingJob.objects.update(dispatched=ago(share * STALL_AFTER))
    else:
        JobSlice.objects.filter(number=1).update(touched=ago(share * STALL_AFTER))

    assert claimed() == ([job.pk] if is_stalled else [])


def test_a_job_with_a_running_slice_is_not_stalled() -> None:
    job = stalled_job()

    run_slice(job.pk, 1)

    assert claimed() == []


@pytest.mark.parametrize(("state", "is_sent"), [("done", True), ("cancelled", True), ("cancelled", False)])
def test_a_finished_job_is_claimed_until_its_result_was_sent(state: str, *, is_sent: bool) -> None:
    job = stalled_job()
    LinkingJob.objects.update(state=state, notified=timezone.now() if is_sent else None)

    assert claimed() == ([] if is_sent else [job.pk])


def test_a_job_that_waits_for_another_is_not_stalled() -> None:
    job, other = stalled_job(), stalled_job()
    LinkingJob.objects.filter(pk=job.pk).update(waits_for=[str(other.pk)], state="received", dispatched=None)
    # Behind the other job, as if both were over the same learners.
    Claim.objects.filter(job=job).delete()
    token = other.claims.values_list("token", flat=True)[0]
    Claim.objects.create(job=job, token=token)

    assert claimed() == [other.pk]


def test_a_job_behind_claims_that_an_ended_job_left_is_sent() -> None:
    """A worker of an earlier release ends a job without withdrawing its claims."""
    mapping = add_learners(1)
    ended, job = submit(mapping), submit(mapping)
    LinkingJob.objects.filter(pk=ended.pk).update(state="done", notified=timezone.now())
    LinkingJob.objects.filter(pk=job.pk).update(created=ago(LONG * STALL_AFTER))

    assert claimed() == [job.pk]
    assert not ended.claims.exists()


def test_a_sweep_takes_a_few_statements_however_many_jobs_wait(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    mapping = add_learners(1)
    first = submit(mapping)
    for _ in range(20):
        submit(mapping)
    LinkingJob.objects.update(created=ago(LONG * STALL_AFTER))

    with django_assert_max_num_queries(25):
        assert claimed() == [first.pk]


@pytest.mark.parametrize(("learners", "route"), [(3, "linking:0"), (101, "linking.bulk:3")])
def test_a_job_whose_messages_wait_in_a_queue_is_not_stalled_however_long_they_wait(learners: int, route: str) -> None:
    job = submit(add_learners(learners))
    sent = ago(LONG * STALL_AFTER)
    LinkingJob.objects.update(created=sent, dispatched=sent, state="running")
    for other in ROUTES:
        if other.name != route:
            note_marker(other.name, timezone.now())
    assert claim_stalled_jobs() == ([], None)

    note_marker(route, sent - timedelta(seconds=1))
    assert claim_stalled_jobs() == ([], None)

    note_marker(route, sent + timedelta(seconds=1))
    note_marker(route, sent - timedelta(seconds=1))  # An older one, received later.
    assert [found.pk for found in claim_stalled_jobs()[0]] == [job.pk]
    assert claim_stalled_jobs() == ([], None)  # The messages that were sent again wait in the queue.


def test_the_end_of_a_job_is_lost_when_a_marker_of_the_first_route_was_received() -> None:
    job = submit(add_learners(101))
    run_slices(job)
    LinkingJob.objects.update(created=ago(LONG * STALL_AFTER), dispatched=ago(LONG * STALL_AFTER))
    JobSlice.objects.update(touched=ago(2 * STALL_AFTER), finished=ago(2 * STALL_AFTER))
    note_marker("linking.bulk:3", timezone.now())
    assert claim_stalled_jobs() == ([], None)

    note_marker("linking:0", timezone.now())

    assert [found.pk for found in claim_stalled_jobs()[0]] == [job.pk]


@pytest.mark.parametrize(("limit", "size"), [("MAX_JOBS", 2), ("MAX_SLICES", 6)])
def test_a_sweep_is_bounded_and_the_next_one_continues_it(
    monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: DjangoAssertNumQueries, limit: str, size: int
) -> None:
    expected = [stalled_job().pk for _ in range(5)]
    LinkingJob.objects.update(created=ago(LONG * STALL_AFTER))  # Of the same instant: the id decides.
    monkeypatch.setattr(recovery, limit, size)
    note_marker("linking:0", timezone.now())

    found, after = [], None
    for _ in range(3):
        with django_assert_max_num_queries(4 + 2 * 6):
            stalled, after = claim_stalled_jobs(after)
        found.append([job.pk for job in stalled])

    assert after is None
    assert list(map(len, found)) == [2, 2, 1]
    assert sorted(pk for pks in found for pk in pks) == sorted(expected)


def test_markers_are_sent_through_the_routes_that_open_jobs_use() -> None:
    assert routes_in_use() == []
    small = submit(add_learners(1))
    assert [route.name for route in routes_in_use()] == ["linking:0"]
    LinkingJob.objects.filter(pk=small.pk).update(total=10_001)

    assert [route.name for route in routes_in_use()] == ["linking:0", "linking.bulk:6"]

    LinkingJob.objects.update(notified=timezone.now())
    assert routes_in_use() == []


def test_the_wait_doubles_from_the_second_claim_without_progress() -> None:
    job = stalled_job()
    assert claimed() == [job.pk]

    for wait in (1, 1, 2, 4, 8):
        age(job, (wait - 0.1) * STALL_AFTER)
        assert claimed() == []
        age(job, (wait + 0.1) * STALL_AFTER)
        assert claimed() == [job.pk]


def test_progress_resets_the_wait() -> None:
    job = stalled_job()
    claimed()
    for _ in range(3):
        age(job, 100 * STALL_AFTER)
        assert claimed() == [job.pk]
    run_slice(job.pk, 0)
    LinkingJob.objects.update(resumed=ago(3 * STALL_AFTER))
    JobSlice.objects.filter(number=0).update(touched=ago(1.1 * STALL_AFTER), finished=ago(1.1 * STALL_AFTER))

    assert claimed() == [job.pk]

    job.refresh_from_db()
    assert job.resumes == 1


def test_a_job_that_never_makes_progress_fails() -> None:
    job = stalled_job()
    for _ in range(MAX_RESUMES):
        assert claimed() == [job.pk]
        age(job, LONG * STALL_AFTER)
    job.refresh_from_db()
    assert job.state == "running"

    assert claimed() == [job.pk]

    job.refresh_from_db()
    assert job.state == "failed"
    assert set(outcomes(job).values()) == {"error"}
    assert "no progress" in job.message


@pytest.mark.django_db(transaction=True)
def test_many_recoveries_at_once_claim_a_job_once() -> None:
    expected = sorted(stalled_job().pk for _ in range(5))

    found = at_once(8, lambda _: claimed())

    assert sorted(pk for pks in found for pk in pks) == expected
    assert set(LinkingJob.objects.values_list("resumes", flat=True)) == {1}
