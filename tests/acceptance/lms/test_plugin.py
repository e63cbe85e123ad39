"""Events from the worker's outbox to the receivers of an LMS, whose own Celery worker runs the task of the plug-in."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from devservers import WorkerProcess
from devservers.application import ROOT
from linking.events import Event, EventBatch, EventFailure
from linking.outbox.step import step_text
from tests.support.broker import Broker
from tests.support.ids import ALGEBRA
from tests.support.packages import require
from tests.support.populations import add_learners_with_roles
from tests.support.secrecy import SECRET, assert_silent
from tests.support.service import Service, result_of
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif("not config.getoption('lms')", reason="a database of an LMS: --lms")
QUEUE = "edx.lms.core.default"
TASK = {"LINKING_EVENTS_TASK": "program_linking_lms.receive_events", "LINKING_EVENTS_QUEUE": QUEUE}
LEARNERS = 3


@pytest.fixture
def mapping() -> dict[str, str]:
    """Learners with a course run and a role each."""
    return add_learners_with_roles(LEARNERS, f"{SECRET}-")


@pytest.fixture
def start_lms(worker_env: dict[str, str], tmp_path: Path) -> Iterator[Callable[[dict[str, str]], None]]:
    """Start the LMS's own Celery worker, which consumes the queue of all its tasks."""
    require("openedx_events", "lms.txt")
    with ExitStack() as stack:

        def start(env: dict[str, str]) -> None:
            options = ("-A", "tests.support.recording_lms.application", "worker", "-Q", QUEUE, "--pool", "solo")
            log = stack.enter_context((tmp_path / "lms.log").open("wb"))
            process = subprocess.Popen(
                [sys.executable, "-m", "celery", *options],
                cwd=ROOT,
                env={**os.environ, "DATABASE_URL": worker_env["DATABASE_URL"], **env},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)

        yield start


def deliver(service: Service) -> None:
    service.send("linking.deliver_events", queue="linking.events", expires=1)


def all_delivered(service: Service) -> bool:
    deliver(service)
    return not Event.objects.exists()


def recorded() -> Counter[str]:
    """Return how often each kind was recorded inside the LMS, and empty the table."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT COALESCE(JSON_UNQUOTE(JSON_EXTRACT(details, '$.type')), what) FROM recording_lms_record")
        found = Counter(str(kind).rpartition("org.openedx.learning.")[2] for (kind,) in cursor.fetchall())
        cursor.execute("DELETE FROM recording_lms_record")
        cursor.execute("DELETE FROM program_linking_lms_processedevent")
    return found


def assert_created(found: Counter[str]) -> None:
    expected = {
        "post_save": 2,
        "course.enrollment.changed.v1": 1,
        "course.enrollment.created.v1": 1,
        "tracking": 2,
        "ENROLLMENT_TRACK_UPDATED": 1,
        "ENROLL_STATUS_CHANGE": 1,
        "schedule": 1,
        "user.course_access_role.added.v1": 1,
    }
    assert {kind: found[kind] for kind in expected} == {kind: LEARNERS * n for kind, n in expected.items()}


def test_the_lms_announces_what_a_job_and_its_undo_have_changed(
    start_worker: Callable[..., WorkerProcess],
    start_lms: Callable[[dict[str, str]], None],
    isolated_env: dict[str, str],
    isolated_service: Service,
    mapping: dict[str, str],
) -> None:
    start_lms({"CELERY_BROKER_URL": isolated_env["CELERY_BROKER_URL"]})
    worker = start_worker(isolated_env | TASK)

    job = isolated_service.link(mapping)
    assert result_of(job) == {}
    wait_until(lambda: all_delivered(isolated_service), "every event is acknowledged", interval=0.3)
    assert_created(recorded())

    assert result_of(isolated_service.send("linking.undo_job", job)) == {}
    wait_until(lambda: all_delivered(isolated_service), "every event is acknowledged", interval=0.3)
    undone = recorded()
    assert undone["course.unenrollment.completed.v1"] == undone["UNENROLL_DONE"] == LEARNERS
    assert undone["tracking"] == 2 * LEARNERS  # Deactivated, and moved to audit.
    assert undone["user.course_access_role.removed.v1"] == LEARNERS
    assert undone["post_save"] == LEARNERS
    assert undone["course.enrollment.created.v1"] == 0
    assert not EventBatch.objects.exists()
    assert_silent("the worker's log", worker.log.read_text())


def test_an_lms_with_a_broker_of_its_own_acknowledges_and_refuses(
    start_worker: Callable[..., WorkerProcess],
    start_lms: Callable[[dict[str, str]], None],
    isolated_env: dict[str, str],
    isolated_service: Service,
    mapping: dict[str, str],
) -> None:
    ours = isolated_env["CELERY_BROKER_URL"]
    theirs = ours.removesuffix("/1") + "/2"
    start_lms({"CELERY_BROKER_URL": theirs, "PROGRAM_LINKING_BROKER_URL": ours})
    start_worker(isolated_env | TASK | {"LINKING_EVENTS_BROKER_URL": theirs})

    assert result_of(isolated_service.link(mapping)) == {}
    wait_until(lambda: all_delivered(isolated_service), "every event is acknowledged", interval=0.3)
    assert_created(recorded())

    of_a_later_release = step_text("suspended", "update", (True, "masters"), (False, "masters"))
    Event.objects.create(recorded=timezone.now(), user_id=1, course_key=str(ALGEBRA), step=of_a_later_release)
    deliver(isolated_service)
    wait_until(EventFailure.objects.exists, "the event is refused")
    assert not EventBatch.objects.exists()
    broker = Broker(theirs)
    assert not broker.queued("linking")  # Callbacks that nobody would receive.
    broker.close()
