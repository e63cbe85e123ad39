"""Results that are stored: the ledger decides for its jobs, and a success is final."""

from typing import Any
from uuid import uuid4

import pytest
from celery import states
from celery.app.task import Context
from celery.exceptions import TimeLimitExceeded
from django.db import OperationalError, connection
from django_celery_results.models import TaskResult

from tests.support.jobs import submit
from tests.support.triggers import failing_writes
from worker.celery import app
from worker.celery.backend import LedgerBackend
from worker.exceptions import IdempotencyConflictError, JobFailedError, RequestFailedError
from worker.models import LinkingJob

pytestmark = pytest.mark.django_db


class RecordingBackend(LedgerBackend):
    """A backend that keeps the ``link_error`` callbacks that it would call."""

    def __init__(self) -> None:
        super().__init__(app=app)
        self.called: list[str] = []

    def _call_task_errbacks(self, request: Any, exc: Exception, traceback: Any) -> None:
        self.called.append(request.id)

    def fail(self, task_id: str, exc: Exception) -> None:
        """Let a message fail as Celery does."""
        self.mark_as_failure(task_id, exc, request=Context(id=task_id, task="any", errbacks=[{}], chord=None))


@pytest.fixture
def backend() -> RecordingBackend:
    return RecordingBackend()


def stored(task_id: str) -> str | None:
    """Return the state that is stored under a task id."""
    return TaskResult.objects.filter(task_id=task_id).values_list("status", flat=True).first()


@pytest.mark.parametrize("state", [states.RETRY, states.FAILURE, states.REVOKED])
def test_a_success_is_not_overwritten(backend: RecordingBackend, state: str) -> None:
    task_id = str(uuid4())
    backend.store_result(task_id, {"s-1": "gone"}, states.SUCCESS)

    backend.store_result(task_id, OperationalError("away"), state)

    assert stored(task_id) == states.SUCCESS
    assert backend.get_result(task_id) == {"s-1": "gone"}


def test_a_failure_may_be_followed_by_a_success(backend: RecordingBackend) -> None:
    task_id = str(uuid4())
    backend.store_result(task_id, OperationalError("away"), states.RETRY)

    backend.store_result(task_id, {}, states.SUCCESS)

    assert stored(task_id) == states.SUCCESS


@pytest.mark.parametrize(
    ("exc", "is_called"),
    [
        *((exc, False) for exc in (TimeLimitExceeded(80), OperationalError("away"), RuntimeError("a bug"))),
        *((exc, True) for exc in (IdempotencyConflictError("used"), ValueError("no UUID"))),
    ],
)
def test_a_message_that_fails_is_no_failure_of_its_job_and_a_bad_request_calls_its_errbacks(
    backend: RecordingBackend, exc: Exception, *, is_called: bool
) -> None:
    task_id = str(submit({"s-1": "u-1"}).pk)

    backend.fail(task_id, exc)

    assert stored(task_id) is None
    assert backend.called == ([task_id] if is_called else [])


@pytest.mark.parametrize("state", [LinkingJob.State.REFUSED, LinkingJob.State.FAILED])
def test_a_job_that_failed_has_failed(backend: RecordingBackend, state: LinkingJob.State) -> None:
    job = submit({"s-1": "u-1"})
    LinkingJob.objects.filter(pk=job.pk).update(state=state)

    backend.fail(str(job.pk), JobFailedError("no progress"))

    assert stored(str(job.pk)) == states.FAILURE
    assert backend.called == [str(job.pk)]


@pytest.mark.parametrize("task_id", ["nightly", "6a1c2d1e-7f63-4a0e-9b0e-2f6d5d0c9a11"])
def test_a_message_without_a_job_fails_by_itself(backend: RecordingBackend, task_id: str) -> None:
    backend.fail(task_id, ValueError("wrong"))

    assert stored(task_id) == states.FAILURE
    assert backend.called == [task_id]


@pytest.mark.django_db(transaction=True)
def test_a_failure_that_a_full_disk_keeps_from_being_stored_calls_its_errbacks(backend: RecordingBackend) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite's triggers raise no other error than that of a constraint")
    task_id = str(uuid4())

    with failing_writes("django_celery_results_taskresult", "task_id", task_id, error="disk_full"):
        backend.store_result(task_id, OperationalError("away"), states.RETRY)
        backend.fail(task_id, RequestFailedError())

    assert stored(task_id) is None
    assert backend.called == [task_id]


def test_a_request_that_ends_its_workers_after_its_job_was_submitted_calls_no_errback(
    backend: RecordingBackend,
) -> None:
    task_id = str(submit({"s-1": "u-1"}).pk)

    backend.fail(task_id, RequestFailedError())

    assert (stored(task_id), backend.called) == (None, [])
