"""A job in numbers, and beside the job of its program before it."""

import io
import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.utils import timezone

from linking.models import ProgramEnrollment
from tests.support.ids import OTHER_PROGRAM, PROGRAM
from tests.support.jobs import run_job, submit, undo
from tests.support.populations import add_learners
from worker import jobs
from worker.jobs.summary import Difference, Summary, summary
from worker.models import LinkingJob

pytestmark = pytest.mark.django_db(transaction=True)

NIGHT = timezone.now().replace(microsecond=0) - timedelta(days=10)


def finished(
    learners: int,
    *,
    night: int,
    seconds: float,
    missing: int = 0,
    program: UUID = PROGRAM,
    source: str = "",
    **options: Any,
) -> LinkingJob:
    """Run a job, and let it have been ``night`` nights after the first, for so many seconds."""
    job = run_job(add_learners(learners, program) | {f"x-{n}": "nobody" for n in range(missing)}, program, **options)
    began = NIGHT + timedelta(days=night)
    times = {"created": began, "started": began, "finished": began + timedelta(seconds=seconds)}
    LinkingJob.objects.filter(pk=job.pk).update(source=source, **times)
    job.refresh_from_db()
    return job


def shown(job: LinkingJob, *arguments: str) -> str:
    out = io.StringIO()
    call_command("linking_jobs", "show", str(job.pk), *arguments, stdout=out)
    return out.getvalue()


def test_a_job_has_counts_duration_and_speed() -> None:
    job = finished(6, night=0, seconds=4, missing=2)

    assert summary(job) == Summary(
        total=8, counts={"linked": 6, "no_user": 2}, duration=4.0, learners_per_second=2.0, difference=None
    )


def test_a_job_that_is_under_way_has_counts_and_neither_duration_nor_difference() -> None:
    finished(1, night=0, seconds=1)
    job = submit(add_learners(2), learners_per_subtask=1)
    jobs.start(job)
    job.refresh_from_db()

    assert summary(job) == Summary(total=2, counts={}, duration=None, learners_per_second=None, difference=None)


def test_it_is_compared_with_the_newest_job_of_the_program_that_ran_to_its_end_before_it() -> None:
    finished(9, night=0, seconds=9)
    before = finished(4, night=1, seconds=2, missing=1)
    finished(1, night=2, seconds=1, dry_run=True)
    finished(1, night=2, seconds=1, program=OTHER_PROGRAM)
    finished(1, night=2, seconds=1, source="corrections.csv")
    cancelled = submit(add_learners(1))
    jobs.cancel(cancelled.pk)
    LinkingJob.objects.filter(pk=cancelled.pk).update(created=NIGHT + timedelta(days=2))
    job = finished(6, night=3, seconds=5)
    finished(3, night=4, seconds=1)

    assert summary(job).difference == Difference(
        job_id=before.pk,
        finished=before.finished or datetime.max,  # noqa: DTZ901 - it has ended
        total=1,
        counts={"linked": 2, "no_user": -1},
        duration=3.0,
    )


def test_a_job_of_a_file_is_compared_with_the_job_of_the_file_of_that_name_before_it() -> None:
    before = finished(5, night=0, seconds=5, source="nightly.csv")
    finished(1, night=1, seconds=1)
    finished(2, night=1, seconds=1, source="corrections.csv")

    difference = summary(finished(7, night=2, seconds=5, source="nightly.csv")).difference

    assert difference is not None
    assert (difference.job_id, difference.total) == (before.pk, 2)
    assert summary(finished(7, night=3, seconds=5, source="summer.csv")).difference is None


def test_neither_an_undo_is_compared_nor_what_came_after_it_with_it() -> None:
    first = finished(2, night=0, seconds=1)
    undoing = undo(first)
    LinkingJob.objects.filter(pk=undoing.pk).update(created=NIGHT + timedelta(days=1))
    undoing.refresh_from_db()
    assert summary(undoing).difference is None

    difference = summary(finished(2, night=2, seconds=1)).difference

    assert difference is not None
    assert (difference.job_id, difference.counts) == (first.pk, {})


def test_show_prints_the_comparison_as_a_table_and_as_json() -> None:
    before = finished(1_200, night=0, seconds=10, missing=3)
    job = finished(1, night=1, seconds=0.5)
    ProgramEnrollment.objects.all().delete()

    table = shown(job)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in table.splitlines() if "│" in line]
    assert f"Job {job.pk}: done in 0.5 s, 2 learners/s" in table
    assert rows == [["linked", "1", "1,200"], ["no_user", "0", "3"], ["total", "1", "1,203"]]
    assert f"before: job {before.pk}, ended {before.finished:%Y-%m-%d %H:%M}, 9.5 s less than it" in table
    printed = json.loads(shown(job, "--json"))
    assert before.finished is not None
    assert (printed["counts"], printed["duration"], printed["learners_per_second"]) == ({"linked": 1}, 0.5, 2.0)
    assert printed["difference"] == {
        "job_id": str(before.pk),
        "finished": before.finished.isoformat(),
        "total": -1_202,
        "counts": {"linked": -1_199, "no_user": -3},
        "duration": -9.5,
    }
    first = shown(before)
    assert "before" not in first
    assert {len(line.split("│")) for line in first.splitlines() if "│" in line} == {4}  # Two columns.
