"""``manage.py linking_jobs`` as an operator uses it while workers run."""

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from linking.models import CourseEnrollment, ProgramEnrollment
from tests.acceptance.recovery.conftest import StartWorker
from tests.support.locks import RowLock
from tests.support.populations import add_learners
from tests.support.rows import add_course_run, make_course
from tests.support.service import Service, result_of
from tests.support.waiting import wait_until
from worker.models import LearnerOutcome, LinkingJob

ROOT = Path(__file__).resolve().parents[3]
Manage = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def manage(recovery_env: dict[str, str]) -> Manage:
    """Run ``manage.py linking_jobs …``."""

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "manage.py", "linking_jobs", *arguments],
            cwd=ROOT,
            env={**os.environ, **recovery_env},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def json_of(done: "subprocess.CompletedProcess[str]") -> Any:
    """Return the JSON that a command printed."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_cancelled_job_stops_at_the_next_slice_and_answers(
    hardy: StartWorker, caller: Service, row_lock: Callable[[str], RowLock], manage: Manage
) -> None:
    hardy(concurrency=1)
    mapping = add_learners(12)
    make_course()
    for place in ProgramEnrollment.objects.all():
        add_course_run(place)
    held = row_lock("s-0")
    task_id = caller.link(mapping, learners_per_subtask=4)
    held.wait_for_blocked(1)
    cancelled = subprocess_in_background(manage, "cancel", task_id)
    wait_until(LinkingJob.objects.filter(state="cancelled").exists, "the job is cancelled")
    held.release()

    assert cancelled() == 0

    errors = result_of(task_id)
    outcomes = dict(LearnerOutcome.objects.values_list("external_user_key", "outcome"))
    linked = {key for key, outcome in outcomes.items() if outcome == "linked"}
    assert linked in ({"s-0", "s-1", "s-2", "s-3"}, set())
    assert {outcomes[key] for key in mapping.keys() - linked} == {"cancelled"}
    assert errors == dict.fromkeys((key for key in mapping if key not in linked), "cancelled before it was linked")
    places = ProgramEnrollment.objects.exclude(user=None)
    assert set(places.values_list("external_user_key", flat=True)) == linked
    assert CourseEnrollment.objects.count() == len(linked)
    caller.broker.wait_until_quiet()
    assert caller.answers() == [errors]
    assert LinkingJob.objects.get().state == "cancelled"
    again = manage("cancel", task_id)
    assert again.returncode == 1
    assert "is cancelled already: nothing was changed" in again.stderr


def test_a_job_that_waits_for_another_is_cancelled_and_answered_at_once(
    hardy: StartWorker, caller: Service, row_lock: Callable[[str], RowLock], manage: Manage
) -> None:
    """No message of such a job is on its way: only the command can send its result."""
    hardy()
    mapping = add_learners(3)
    held = row_lock("s-0")
    first = caller.link(mapping, learners_per_subtask=3)
    held.wait_for_blocked(1)
    second = caller.link(mapping)
    wait_until(LinkingJob.objects.filter(pk=second).exists, "the second job is in the ledger")

    assert manage("cancel", second).returncode == 0

    assert result_of(second) == dict.fromkeys(mapping, "cancelled before it was linked")
    held.release()
    assert result_of(first) == {}


def subprocess_in_background(manage: Manage, *arguments: str) -> Callable[[], int]:
    """Start a command; return a function that waits for its exit status."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    pool = ThreadPoolExecutor(1)
    future = pool.submit(manage, *arguments)

    def wait() -> int:
        done = future.result(60)
        pool.shutdown()
        return done.returncode

    return wait


def test_a_job_is_listed_shown_watched_reported_and_its_failures_are_tried_again(
    hardy: StartWorker, caller: Service, manage: Manage
) -> None:
    hardy(concurrency=1)
    task_id = caller.link(add_learners(3) | {"s-8": "eve", "s-9": "nobody"})
    result_of(task_id)
    wait_until(LinkingJob.objects.exclude(notified=None).exists, "the job is notified")
    expected = {"id": task_id, "state": "done", "total": 5, "counts": {"linked": 3, "no_user": 2}}

    (listed,) = json_of(manage("list", "--json"))
    for shown in (listed, json_of(manage("show", task_id, "--json")), json_of(manage("watch", task_id, "--json"))):
        assert {name: shown[name] for name in expected} == expected
    rows = list(csv.DictReader(io.StringIO(manage("report", task_id).stdout)))
    assert [row["outcome"] for row in rows] == ["linked"] * 3 + ["no_user"] * 2

    get_user_model().objects.create(username="eve")
    retried = json_of(manage("retry", task_id, "--json"))
    assert retried["total"] == 2
    assert result_of(retried["id"]).keys() == {"s-8", "s-9"}
    job = LinkingJob.objects.get(pk=retried["id"])
    assert job.counts == {"no_user": 1, "no_enrollment": 1}
    assert manage("show", "00000000-0000-4000-8000-000000000000").returncode == 1
