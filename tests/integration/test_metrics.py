"""The metrics of the ledger for Prometheus: right at every moment, never decreasing, without names."""

from datetime import timedelta

import pytest
from django.conf import settings as configured
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics
from prometheus_client.parser import text_string_to_metric_families as parse
from pytest_django import DjangoAssertNumQueries, Settings

from linking.bulk import Outcome
from tests.support.ids import OTHER_PROGRAM, PROGRAM
from tests.support.jobs import finish, run, run_job, run_slices, submit
from tests.support.populations import add_learners, add_learners_of_every_kind
from worker import jobs
from worker.jobs import totals
from worker.jobs.purge import purge_expired
from worker.jobs.routing import SMALL, note_marker
from worker.jobs.slices import run_slice
from worker.models import InboxFile, JobSlice, JobTotals, LinkingJob, Pause, RouteMarker
from worker.web.metrics import STATEMENTS, WINDOW

pytestmark = pytest.mark.django_db(transaction=True)

Samples = dict[tuple[str, ...], float]


def scrape() -> Samples:
    """Return the samples of a scrape: value by name and label values, the one of ``dry_run`` last."""
    answer = Client().get("/metrics")
    assert answer.status_code == 200
    text = answer.content.decode()
    return {(one.name, *of(one.labels)): one.value for family in parse(text) for one in family.samples}


def of(labels: dict[str, str]) -> list[str]:
    return [labels[name] for name in sorted(labels, key="dry_run".__eq__)]


def learners(samples: Samples) -> dict[str, float]:
    """Return the learners of real jobs by outcome, but the zeros."""
    return {key[1]: value for key, value in samples.items() if key[::2] == ("linking_learners_total", "no") and value}


def test_an_empty_ledger_has_every_sample_at_zero() -> None:
    samples = scrape()

    for dry_run in ("no", "yes"):
        assert {key[1] for key in samples if key[::2] == ("linking_jobs", dry_run)} == {*LinkingJob.State}
        outcomes = {key[1] for key in samples if key[::2] == ("linking_learners_total", dry_run)}
        assert outcomes == {*Outcome} - {"pending"}
    assert {key[1] for key in samples if key[0] == "linking_import_files"} == {*InboxFile.State}
    assert set(samples.values()) == {0}


def test_jobs_and_learners_are_counted_while_they_run_and_stay_counted() -> None:
    first = submit(add_learners_of_every_kind(14), learners_per_subtask=5)
    run_job({"x": "nobody"}, OTHER_PROGRAM)
    jobs.start(first)
    run_slice(first.pk, 0)

    under_way = scrape()
    errors = run(first)
    ended = scrape()

    assert (under_way["linking_jobs", "running", "no"], under_way["linking_jobs", "done", "no"]) == (1, 1)
    assert (under_way["linking_open_learners",], ended["linking_open_learners",]) == (9, 0)
    assert sum(learners(under_way).values()) == 6
    assert (ended["linking_jobs", "running", "no"], ended["linking_jobs", "done", "no"]) == (0, 2)
    assert sum(learners(ended).values()) == 15
    twos = dict.fromkeys(("relinked", "already_linked", "no_enrollment", "course_error"), 2)
    assert learners(ended) == {"linked": 4, "no_user": 3} | twos
    assert len(errors) == 8


def test_dry_runs_are_counted_apart_while_they_run_when_they_have_ended_and_in_the_totals() -> None:
    def apart() -> dict[str, list[float]]:
        samples = scrape()
        names = [("linking_jobs", state) for state in ("done", "running")]
        names += [("linking_learners_total", outcome) for outcome in counted]
        return {name[1]: [samples[*name, dry_run] for dry_run in ("no", "yes")] for name in names}

    counted = ("linked", "no_user")
    mapping = add_learners(3)
    rehearsed = submit(mapping | {"x": "nobody"}, learners_per_subtask=2, dry_run=True)
    jobs.start(rehearsed)
    run_slice(rehearsed.pk, 0)
    assert apart() == {"done": [0, 0], "running": [0, 1], "linked": [0, 2], "no_user": [0, 0]}
    run(rehearsed)
    run_job(mapping)
    ended = {"done": [1, 1], "running": [0, 0], "linked": [3, 3], "no_user": [0, 1]}
    assert apart() == ended

    LinkingJob.objects.update(notified=timezone.now() - timedelta(days=1))
    totals.advance_totals()

    assert [sum(row.states.values()) for row in JobTotals.objects.order_by("pk")] == [2, 1]
    assert apart() == ended
    JobTotals.objects.get(pk=totals.DRY_RUNS).delete()  # As right after an upgrade: only all jobs were summed before.
    assert apart() == ended


def test_learners_never_become_fewer_when_a_job_ends_or_is_purged(settings: Settings) -> None:
    job = submit(add_learners_of_every_kind(7), learners_per_subtask=2)
    refused, cancelled = submit(add_learners(1)), submit(add_learners(2), learners_per_subtask=1)
    LinkingJob.objects.filter(pk=refused.pk).update(state="refused", finished=timezone.now())
    jobs.start(cancelled)
    run_slice(cancelled.pk, 0)
    jobs.cancel(cancelled.pk)
    run_slices(job)
    before = learners(scrape())
    finish(job)
    assert learners(scrape()) == before
    settings.LINKING_RETENTION_DAYS = 1
    LinkingJob.objects.update(finished=timezone.now() - timedelta(days=2))

    purge_expired()

    assert not JobSlice.objects.exists()
    assert learners(scrape()) == before
    assert (before["cancelled"], sum(before.values())) == (1, 9)


def test_a_cancelled_job_counts_the_learners_that_were_open() -> None:
    job = submit(add_learners(4), learners_per_subtask=2)
    jobs.start(job)
    run_slice(job.pk, 0)
    jobs.cancel(job.pk)

    assert learners(scrape()) == {"linked": 2, "cancelled": 2}
    finish(job)
    assert learners(scrape()) == {"linked": 2, "cancelled": 2}
    assert scrape()["linking_jobs", "cancelled", "no"] == 1


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


@pytest.mark.parametrize("size", [3, 30])
def test_a_scrape_takes_the_same_few_statements(size: int, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    for _ in range(size // 3):
        run_job(add_learners(3))
    submit(add_learners(size), learners_per_subtask=1)
    InboxFile.objects.bulk_create(InboxFile(name=f"{n}.csv") for n in range(size))

    with django_assert_num_queries(STATEMENTS) as statements:
        scrape()

    assert not any("learneroutcome" in one["sql"] for one in statements.captured_queries)


def test_nothing_in_it_names_a_learner_a_job_or_a_program() -> None:
    mapping = add_learners(3) | {"s-none": "nobody"}
    job = run_job(mapping, idempotency_key="spring")

    text = Client().get("/metrics").content.decode()

    assert 'linking_jobs{dry_run="no",state="done"} 1.0' in text
    for name in (*mapping, *mapping.values(), str(PROGRAM), str(job.pk), "spring"):
        assert f'"{name}"' not in text


def test_it_is_read_in_both_formats_by_address_and_without_a_name() -> None:
    run_job(add_learners(1))
    open_metrics = Client(headers={"accept": "application/openmetrics-text; version=1.0.0", "host": "10.0.0.7:8000"})

    answer = open_metrics.get("/metrics")

    assert "10.0.0.7" not in configured.ALLOWED_HOSTS
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name: family for family in parse_open_metrics(answer.content.decode())}
    assert families["linking_learners"].type == "counter"


def test_without_a_database_there_are_none_and_the_log_has_no_address(caplog: pytest.LogCaptureFixture) -> None:
    def refuse(*_: object) -> None:
        raise OperationalError("connection to server at secret-host failed")  # noqa: EM101

    with connection.execute_wrapper(refuse):
        answer = Client().get("/metrics")

    assert (answer.status_code, answer.content) == (503, b"")
    assert "no metrics: the database does not answer (OperationalError)" in caplog.text
    assert "secret-host" not in caplog.text


def test_jobs_that_ended_long_ago_are_counted_from_the_totals(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = submit(add_learners(1))
    LinkingJob.objects.filter(pk=refused.pk).update(state="refused", notified=timezone.now())
    for number in range(5):
        job = run_job(add_learners_of_every_kind(7) if number else add_learners(1))
        LinkingJob.objects.filter(pk=job.pk).update(notified=timezone.now() - timedelta(days=5 - number))
    running = submit(add_learners(4), learners_per_subtask=2)
    jobs.start(running)
    run_slice(running.pk, 0)
    before = learners(scrape())
    monkeypatch.setattr(totals, "MAX_JOBS", 2)

    covered = []
    for _ in range(4):
        totals.advance_totals()
        covered.append(sum(JobTotals.objects.get(pk=totals.ALL).states.values()))
        samples = scrape()
        assert learners(samples) == before
        assert [samples["linking_jobs", state, "no"] for state in ("done", "refused", "running")] == [5, 1, 1]

    assert covered == [2, 4, 5, 5]  # All but the job that has just been refused.


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
