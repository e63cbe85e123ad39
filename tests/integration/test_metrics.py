"""The metrics of the ledger for Prometheus: right at every moment, never decreasing, without names."""

from datetime import timedelta

import pytest
from django.conf import settings as configured
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics
from pytest_django import DjangoAssertNumQueries, Settings

from linking.bulk import Outcome
from tests.support.ids import OTHER_PROGRAM, PROGRAM
from tests.support.jobs import finish, run, run_job, run_slices, submit
from tests.support.metrics import learners, scrape
from tests.support.populations import add_learners, add_learners_of_every_kind
from worker import jobs
from worker.jobs import totals
from worker.jobs.purge import purge_expired
from worker.jobs.slices import run_slice
from worker.models import InboxFile, JobSlice, JobTotals, LinkingJob
from worker.web.metrics import STATEMENTS

pytestmark = pytest.mark.django_db(transaction=True)


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
