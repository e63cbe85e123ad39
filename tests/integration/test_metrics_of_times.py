"""Metrics of times: how old and how idle jobs are, how long slices take."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.support.ids import OTHER_PROGRAM
from tests.support.jobs import run, run_job, submit
from tests.support.metrics import scrape
from tests.support.populations import add_learners
from worker import jobs
from worker.jobs.routing import SMALL, note_marker
from worker.jobs.slices import run_slice
from worker.models import JobSlice, LinkingJob, Pause, RouteMarker
from worker.web.metrics import WINDOW

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_age_of_the_oldest_open_job_grows_until_it_ends() -> None:
    old, young = submit(add_learners(1)), submit(add_learners(1), OTHER_PROGRAM)
    LinkingJob.objects.filter(pk=old.pk).update(created=timezone.now() - timedelta(hours=2))

    both = scrape()["linking_oldest_open_job_age_seconds",]
    run(old)
    one = scrape()["linking_oldest_open_job_age_seconds",]
    run(young)

    assert 7200 <= both < 7200 + 300
    assert 0 < one < 300
    assert scrape()["linking_oldest_open_job_age_seconds",] == 0


def test_a_job_is_idle_since_something_last_happened_to_it_and_not_while_it_waits_for_another() -> None:
    mapping = add_learners(4)
    job = submit(mapping, learners_per_subtask=2)
    behind = submit(mapping)
    assert behind.waits_for == [str(job.pk)]
    hours_ago = {hours: timezone.now() - timedelta(hours=hours) for hours in (1, 2, 3, 9)}
    LinkingJob.objects.filter(pk=behind.pk).update(created=hours_ago[9])
    LinkingJob.objects.filter(pk=job.pk).update(created=hours_ago[3])
    ages = [scrape()["linking_open_job_idle_seconds",]]
    LinkingJob.objects.filter(pk=job.pk).update(dispatched=hours_ago[2])
    ages.append(scrape()["linking_open_job_idle_seconds",])
    JobSlice.objects.filter(job=job, number=0).update(touched=hours_ago[1])
    ages.append(scrape()["linking_open_job_idle_seconds",])
    run(job)
    ages.append(scrape()["linking_open_job_idle_seconds",])
    LinkingJob.objects.filter(pk=behind.pk).update(dispatched=hours_ago[2])
    ages.append(scrape()["linking_open_job_idle_seconds",])

    assert [round(age / 3600) for age in ages] == [3, 2, 1, 0, 2]


def test_the_duration_of_a_slice_is_from_its_first_begin_to_its_end() -> None:
    job = submit(add_learners(2), learners_per_subtask=1)
    run_slice(job.pk, 0)
    started = JobSlice.objects.get(number=0).started
    assert started is not None
    JobSlice.objects.filter(number=1).update(started=timezone.now() - timedelta(seconds=40))
    run_slice(job.pk, 1)

    samples = scrape()

    assert 40 <= samples["linking_slice_duration_seconds", "longest"] < 100
    assert 20 <= samples["linking_slice_duration_seconds", "mean"] < 60
    assert samples["linking_recent_slices",] == 2


def test_slices_that_ended_before_the_window_are_not_counted() -> None:
    run_job(add_learners(2))
    past = timezone.now() - WINDOW - timedelta(seconds=1)
    JobSlice.objects.filter(number=1).update(started=past - timedelta(hours=1), finished=past)

    samples = scrape()
    assert samples["linking_recent_slices",] == 1
    assert samples["linking_slice_duration_seconds", "longest"] < 3600
    LinkingJob.objects.update(finished=past, notified=past)
    assert scrape()["linking_recent_slices",] == 0


def test_a_paused_job_is_counted_as_paused_and_neither_as_idle_nor_as_old() -> None:
    job, other = submit(add_learners(2)), submit(add_learners(1))
    hours_ago = timezone.now() - timedelta(hours=6)
    LinkingJob.objects.filter(pk=job.pk).update(created=hours_ago)
    note_marker(SMALL.name, timezone.now())
    names = ("open_job_idle_seconds", "oldest_open_job_age_seconds", "oldest_pause_age_seconds")
    before = scrape()
    assert [round(before[f"linking_{name}",] / 3600) for name in names] == [6, 6, 0]

    jobs.pause(Pause.Kind.JOB, job.pk, paused_by="ada")
    Pause.objects.update(created=hours_ago)
    paused = scrape()
    assert [round(paused[f"linking_{name}",] / 3600) for name in names] == [0, 0, 6]
    assert paused["linking_paused_jobs",] == 1
    assert paused["linking_jobs", "received", "no"] == 2
    jobs.pause(Pause.Kind.EVERYTHING, paused_by="ada")
    assert scrape()["linking_paused_jobs",] == 2
    run_slice(other.pk, 0)
    Pause.objects.all().delete()
    assert scrape()["linking_paused_jobs",] == 0


def test_a_queue_is_idle_since_its_last_progress_and_a_job_only_once_its_messages_were_delivered() -> None:
    hours_ago = {hours: timezone.now() - timedelta(hours=hours) for hours in (1, 2, 3)}
    queued, running = submit(add_learners(1)), submit(add_learners(1))
    LinkingJob.objects.filter(pk=queued.pk).update(created=hours_ago[3], dispatched=hours_ago[3])
    LinkingJob.objects.filter(pk=running.pk).update(created=hours_ago[1], dispatched=hours_ago[1])
    ages = [scrape()["linking_open_job_idle_seconds",]]
    note_marker(SMALL.name, hours_ago[3] + timedelta(seconds=1))
    ages.append(scrape()["linking_open_job_idle_seconds",])
    LinkingJob.objects.filter(pk=queued.pk).update(total=101)  # In another queue, where nothing moves.
    RouteMarker.objects.all().delete()
    ages.append(scrape()["linking_open_job_idle_seconds",])

    assert [round(age / 3600) for age in ages] == [1, 3, 3]
