"""``manage.py linking_jobs`` as an operator uses it while workers run."""

import csv
import io
import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.contrib.auth import get_user_model

from linking.models import CourseEnrollment, ProgramEnrollment
from tests.acceptance.recovery.conftest import StartWorker
from tests.support.locks import TakeLock
from tests.support.populations import add_learners
from tests.support.programs import Command
from tests.support.rows import add_course_run, make_course
from tests.support.sent_jobs import wait_until_finished
from tests.support.service import Service, result_of
from tests.support.waiting import wait_until
from worker.models import LearnerOutcome, LinkingJob


def printed_json(process: subprocess.CompletedProcess[str]) -> Any:
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


def test_a_cancelled_job_stops_at_the_next_slice_and_sends_its_result(
    start_worker: StartWorker, caller: Service, row_lock: TakeLock, manage: Command
) -> None:
    start_worker(concurrency=1)
    mapping = add_learners(12)
    make_course()
    for enrollment in ProgramEnrollment.objects.all():
        add_course_run(enrollment)
    held = row_lock("s-0")
    task_id = caller.link(mapping, learners_per_subtask=4)
    held.wait_for_blocked(1)
    with ThreadPoolExecutor(1) as background:
        cancelled = background.submit(manage, "cancel", task_id)
        wait_until(LinkingJob.objects.filter(state="cancelled").exists, "the job is cancelled")
        held.release()

    assert cancelled.result().returncode == 0

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


def test_a_job_that_waits_for_another_is_cancelled_and_sends_its_result_at_once(
    start_worker: StartWorker, caller: Service, row_lock: TakeLock, manage: Command
) -> None:
    """Such a job has no message in the broker: only the command can send its result."""
    start_worker()
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


def test_a_job_is_listed_shown_watched_reported_and_its_failures_are_tried_again(
    start_worker: StartWorker, caller: Service, manage: Command
) -> None:
    start_worker(concurrency=1)
    task_id = caller.link(add_learners(3) | {"s-8": "eve", "s-9": "nobody"})
    result_of(task_id)
    wait_until_finished(task_id)
    expected = {"id": task_id, "state": "done", "total": 5, "counts": {"linked": 3, "no_user": 2}}

    (listed,) = printed_json(manage("list", "--json"))
    for shown in (
        listed,
        printed_json(manage("show", task_id, "--json")),
        printed_json(manage("watch", task_id, "--json")),
    ):
        assert {name: shown[name] for name in expected} == expected
    rows = list(csv.DictReader(io.StringIO(manage("report", task_id).stdout)))
    assert [row["outcome"] for row in rows] == ["linked"] * 3 + ["no_user"] * 2

    get_user_model().objects.create(username="eve")
    retried = printed_json(manage("retry", task_id, "--json"))
    assert retried["total"] == 2
    assert result_of(retried["id"]).keys() == {"s-8", "s-9"}
    job = LinkingJob.objects.get(pk=retried["id"])
    assert job.counts == {"no_user": 1, "no_enrollment": 1}
    assert manage("show", "00000000-0000-4000-8000-000000000000").returncode == 1
