"""Log records of slices and jobs, as lines and as JSON."""

import io
import json
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command

from devservers import WorkerProcess
from tests.support.ids import PROGRAM
from tests.support.populations import add_learners
from tests.support.rows import enroll, make_user
from tests.support.secrecy import assert_silent, learners
from tests.support.service import LINK, Service, failure_of, result_of
from tests.support.waiting import wait_until
from worker.models import LinkingJob


@pytest.fixture
def worker(start_worker: Callable[..., WorkerProcess], isolated_env: dict[str, str]) -> WorkerProcess:
    """A worker of its own that logs JSON."""
    return start_worker(isolated_env | {"LINKING_LOG_FORMAT": "json"}, concurrency=1)


def records(worker: WorkerProcess) -> list[dict[str, Any]]:
    """Return the worker's log records, without its banner."""
    return [json.loads(line) for line in worker.log.read_text().splitlines() if line.startswith("{")]


def events(worker: WorkerProcess, event: str, job: str) -> list[dict[str, Any]]:
    return [record for record in records(worker) if record.get("event") == event and record["job"] == job]


def test_each_slice_and_each_job_is_one_record_with_its_counts(
    worker: WorkerProcess, isolated_service: Service
) -> None:
    mapping = learners()
    job_id = isolated_service.link(mapping, learners_per_subtask=2)
    result_of(job_id)
    wait_until(lambda: bool(events(worker, "job ended", job_id)), "the end of the job is logged")

    job = LinkingJob.objects.get()
    slices = events(worker, "slice finished", job_id)
    assert sorted(record["slice"] for record in slices) == sorted(job.slices.values_list("number", flat=True))
    assert sum((Counter(record["counts"]) for record in slices), Counter()) == job.counts
    (ended,) = events(worker, "job ended", job_id)
    assert ended["counts"] == job.counts
    assert (ended["state"], ended["total"], ended["program"]) == ("done", 7, str(PROGRAM))
    assert 0 < sum(record["seconds"] for record in slices) < ended["seconds"]
    assert datetime.fromisoformat(ended["time"]).utcoffset() == timedelta(0)
    assert (ended["level"], ended["logger"]) == ("INFO", "worker.logs")


def test_ordinary_work_logs_no_warning(
    start_worker: Callable[..., WorkerProcess], isolated_env: dict[str, str], isolated_service: Service
) -> None:
    """Learners that fail, calls that are refused, an undo and a cancelled job are nobody's concern but the caller's."""
    # Celery warns of a worker that root runs, and continuous integration is root.
    ignored = {"PYTHONWARNINGS": "ignore:You're running the worker with superuser"}
    worker = start_worker(isolated_env | ignored | {"LINKING_LOG_FORMAT": "json"})
    linked = isolated_service.link(learners(), learners_per_subtask=2)
    result_of(linked)
    for task_id in (
        isolated_service.send(LINK, "nonsense", {}),
        isolated_service.send("linking.undo_job", "nonsense"),
    ):
        failure_of(task_id)
    assert result_of(isolated_service.send("linking.undo_job", linked)) == {}
    cancelled = isolated_service.link(add_learners(150), learners_per_subtask=1)
    wait_until(LinkingJob.objects.filter(pk=cancelled, slices__finished__isnull=False).exists, "the job has begun")
    call_command("linking_jobs", "cancel", cancelled, stdout=io.StringIO())
    result_of(cancelled)
    isolated_service.broker.wait_until_quiet()
    worker.stop()

    assert {record["level"] for record in records(worker)} == {"INFO"}
    banner = [line for line in worker.log.read_text().splitlines() if not line.startswith("{")]
    assert not [line for line in banner if "warning" in line.lower()]


def test_a_job_that_is_refused_is_a_record_too(worker: WorkerProcess, isolated_service: Service) -> None:
    enroll("s-1", make_user("ada"))
    make_user("bob")

    job_id = isolated_service.link({"s-1": "bob"}, max_relinks=0)

    assert failure_of(job_id)[0] == "JobRefusedError"
    (ended,) = events(worker, "job ended", job_id)
    assert (ended["state"], ended["counts"]) == ("refused", {})


def test_json_records_of_libraries_name_no_learner(worker: WorkerProcess, isolated_service: Service) -> None:
    mapping = learners()
    failing = [
        isolated_service.send("linking.link_program_enrolments", str(PROGRAM), mapping),
        isolated_service.send(LINK, mapping, str(PROGRAM)),
        isolated_service.send(LINK, str(PROGRAM), kwargs=mapping),
    ]
    for task_id in failing:
        failure_of(task_id)
    job_id = isolated_service.link(mapping)
    result_of(job_id)
    isolated_service.broker.wait_until_quiet()

    shown = records(worker)
    assert {"celery.worker.strategy", "celery.app.trace"} <= {record["logger"] for record in shown}
    assert any("linking.link_program_enrolments" in json.dumps(record) for record in shown)
    assert_silent("the log", worker.log.read_text())


def test_lines_have_the_same_content(celery_worker_process: WorkerProcess, service: Service) -> None:
    make_user("ada")
    enroll("s-1")

    job_id = service.link({"s-1": "ada", "s-2": "nobody"}, learners_per_subtask=2)
    result_of(job_id)
    log = celery_worker_process.log

    wait_until(lambda: f"job {job_id} of 2 learners is done after" in log.read_text(), "the end of the job is logged")
    lines = [line for line in log.read_text().splitlines() if f"slice 0 of job {job_id} finished in" in line]
    assert [line.rpartition(" s: ")[2] for line in lines] == ["1 linked, 1 no_user"]
