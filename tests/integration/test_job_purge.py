"""The purge removes the learners of a job after the retention time, and keeps their counts."""

import io
import time
from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_celery_results.models import TaskResult
from pytest_django.fixtures import Settings

from tests.support.jobs import order, run, run_job, submit, undo
from tests.support.populations import add_learners, add_learners_of_every_kind
from tests.support.rows import enroll, make_user
from tests.support.tables import every_row
from worker import jobs
from worker.exceptions import JobError
from worker.jobs import purge
from worker.jobs.derived import retry_request
from worker.jobs.purge import purge_expired
from worker.jobs.recovery import claim_stalled_jobs
from worker.models import InboxFile, JobSlice, LearnerOutcome, LinkingJob

pytestmark = pytest.mark.django_db(transaction=True)

NOTHING = {"learners": 0, "results": 0, "files": 0, "jobs": 0}


def age(job: LinkingJob, days: float) -> LinkingJob:
    """Let a job have ended so many days ago."""
    ago = timezone.now() - timedelta(days=days)
    LinkingJob.objects.filter(pk=job.pk).update(created=ago, started=ago, finished=ago)
    job.refresh_from_db()
    return job


def result(task_id: str, days: float = 0) -> TaskResult:
    """Store the result of a task that ended so many days ago."""
    row = TaskResult.objects.create(task_id=task_id, status="SUCCESS", result='{"s-1": "…"}')
    TaskResult.objects.filter(pk=row.pk).update(date_done=timezone.now() - timedelta(days=days))
    return row


def test_the_learners_of_jobs_that_ended_long_ago_leave_and_their_counts_stay() -> None:
    old, young = submit(add_learners_of_every_kind(70), learners_per_subtask=9), submit(add_learners(2))
    run(old)
    run(young)
    LinkingJob.objects.filter(pk=old.pk).update(reply={"callbacks": [{"args": ["s-1"]}]})
    age(old, 91)
    age(young, 89)
    result(str(old.pk))
    kept = result(str(young.pk))
    rows, counts = every_row(), old.counts

    assert purge_expired() == ({**NOTHING, "learners": 70, "results": 1, "jobs": 1}, True)

    old.refresh_from_db()
    assert (old.state, old.total, old.counts, old.reply) == ("done", 70, counts, {})
    assert old.purged is not None
    assert not LearnerOutcome.objects.filter(job=old).exists()
    assert not JobSlice.objects.filter(job=old).exists()
    assert jobs.progress_of(old).counts == counts
    assert LearnerOutcome.objects.filter(job=young).count() == 2
    assert list(TaskResult.objects.all()) == [kept]
    assert every_row() == rows
    assert purge_expired() == (NOTHING, True)


@pytest.mark.parametrize("state", ["received", "running"])
def test_a_job_that_is_open_keeps_its_learners_however_old_it_is(state: str) -> None:
    job = submit(add_learners(1))
    LinkingJob.objects.filter(pk=job.pk).update(state=state)
    age(job, 1000)

    assert purge_expired() == (NOTHING, True)


def test_a_failed_and_a_refused_job_and_an_undo_with_its_job_are_purged_and_recovery_leaves_them_alone() -> None:
    failed = submit(add_learners(2), learners_per_subtask=1)
    jobs.give_up(failed.pk, "no progress")
    enroll("r-1", make_user("present"))
    make_user("wanted")
    with pytest.raises(JobError):
        jobs.submit(uuid4(), order({"r-1": "wanted"}, max_relinks=0))
    undo(run_job(add_learners(2)))
    for job in LinkingJob.objects.all():
        age(job, 100)

    assert purge_expired()[0] == {**NOTHING, "learners": 7, "jobs": 4}

    assert claim_stalled_jobs() == ([], None)
    assert not LearnerOutcome.objects.exists()


def test_every_use_of_the_learners_of_a_purged_job_fails_with_the_reason(settings: Settings) -> None:
    settings.LINKING_RETENTION_DAYS = 30
    mapping = add_learners(1) | {"s-9": "nobody"}
    job = run_job(mapping, idempotency_key="night 1")
    age(job, 31)
    purge_expired()
    job.refresh_from_db()
    assert job.purged is not None
    gone = f"the learners of job {job.pk} are no longer in the ledger (removed on {job.purged:%Y-%m-%d})."

    for ask in (
        lambda: jobs.submit_undo(uuid4(), job.pk),
        lambda: retry_request(job.pk),
        lambda: jobs.error_dictionary(jobs.submit(uuid4(), order(mapping, idempotency_key="night 1"))),
    ):
        with pytest.raises(JobError) as refused:
            ask()
        assert str(refused.value) == gone
    for action in ("undo", "retry", "report"):
        with pytest.raises(CommandError) as failed:
            call_command("linking_jobs", action, str(job.pk))
        assert str(failed.value) == gone
    shown = io.StringIO()
    call_command("linking_jobs", "show", str(job.pk), stdout=shown)
    assert "no_user" in shown.getvalue()
    assert gone in shown.getvalue()


def test_a_purge_that_was_stopped_is_continued_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge, "LEARNERS", 3)
    monkeypatch.setattr(purge, "RESULTS", 2)
    job = run_job(add_learners(7))
    age(job, 100)
    for n in range(5):
        result(f"task {n}", days=100)

    steps: list[tuple[dict[str, int], bool]] = []
    while not steps or not steps[-1][1]:
        steps.append(purge_expired(seconds=0))

    assert [step["learners"] for step, _ in steps][:3] == [3, 3, 1]
    assert sum(step["results"] for step, _ in steps) == 5
    assert sum(step["jobs"] for step, _ in steps) == 1
    assert not LearnerOutcome.objects.exists()
    assert not TaskResult.objects.exists()


def test_the_statements_of_a_purge_count_batches_and_not_learners() -> None:
    def count(learners: int) -> int:
        job = run_job(add_learners(learners))
        age(job, 100)
        with CaptureQueriesContext(connection) as captured:
            assert purge_expired(seconds=time.monotonic())[0]["learners"] == learners
        return len(captured)

    assert count(3) == count(60)


@pytest.mark.parametrize(
    ("state", "days", "goes"),
    [
        (InboxFile.State.DONE, 91, True),
        (InboxFile.State.REJECTED, 91, True),
        (InboxFile.State.IN_PLACE, 91, True),
        (InboxFile.State.DONE, 89, False),  # The same content is still recognised.
        (InboxFile.State.SUBMITTED, 91, False),  # Its report is still to be written.
    ],
)
def test_the_row_of_a_file_is_purged_when_its_retention_ends(state: InboxFile.State, days: int, goes: bool) -> None:
    file = InboxFile.objects.create(name="roster.csv", state=state)
    InboxFile.objects.update(created=timezone.now() - timedelta(days=days))

    assert purge_expired() == ({**NOTHING, "files": int(goes)}, True)
    assert InboxFile.objects.filter(pk=file.pk).exists() != goes
