"""The result backend: django-celery-results, which waits for a database that restarts and asks the ledger."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from celery import Signature, states
from celery.exceptions import TaskRevokedError
from celery.utils.log import get_task_logger
from celery.utils.time import get_exponential_backoff_interval
from django.db import Error as DatabaseFault
from django.db import connection
from django_celery_results.backends import DatabaseBackend
from django_celery_results.models import TaskResult

from linking.bulk import error_name, is_limit, is_transient
from worker import jobs
from worker.celery.messages import END, SLICE
from worker.celery.sending import note_fault, send_or_find_fault
from worker.exceptions import IdempotencyConflictError, JobError, RequestFailedError
from worker.models import LinkingJob

log = get_task_logger(__name__)

T = TypeVar("T")


class LedgerBackend(DatabaseBackend):  # type: ignore[misc] # typed as Any in celery-types
    """Results beside the ledger.

    A job's chord has no counter: the ledger knows which slices are open. A counter would be wrong as soon as a message
    is lost or delivered twice, or a task fails that had linked its learners.
    """

    def exception_safe_to_retry(self, exc: Exception) -> bool:
        """Return whether a result that was not stored is to be stored again, on a new connection."""
        if connection.in_atomic_block or not is_transient(exc):
            return False  # The transaction of a caller is lost as a whole.
        connection.close()
        return True

    def mark_as_failure(
        self, task_id: str, exc: Exception, traceback: str | None = None, request: Any = None, **options: Any
    ) -> None:
        """Store a failure and send ``link_error``, unless the ledger says otherwise.

        A message about a job can fail where the job does not: its worker hit the time limit, its retry could not be
        sent, its task id was that of another job.
        """
        if _task_name(request) == SLICE:  # It says nothing about its job; recovery sends the slice again.
            if options.get("store_result", True):
                self.store_result(task_id, exc, states.FAILURE, traceback=traceback, request=request)
            return
        if self._until_the_database_is_back(lambda: _has_job(task_id, exc)):
            if not isinstance(exc, (ValueError, JobError)) or isinstance(exc, RequestFailedError):
                log.warning("a message of job %s failed (%s); the job goes on", task_id, type(exc).__name__)
                return
            # The sender of a second request gets its errbacks; the result is that of the first.
            options["store_result"] = False
        super().mark_as_failure(task_id, exc, traceback, request, **options)

    def mark_as_revoked(
        self,
        task_id: str,
        reason: str = "",
        request: Any = None,
        store_result: bool = True,
        state: str = states.REVOKED,
    ) -> None:
        """Fail a message that was revoked or has expired: Celery would send no errback, and leave its chain open.

        A job that has begun goes on: jobs are cancelled, not revoked.
        """
        if _task_name(request) != SLICE:  # Recovery sends it again.
            self.mark_as_failure(
                task_id, TaskRevokedError(reason), request=request, store_result=store_result, state=state
            )

    def _get_meta_from_request(self, request: Any = None) -> dict[str, Any]:
        """Return nothing: Celery would store a header ``meta`` of the caller's, whatever it is."""
        return {}

    def _store_result(
        self, task_id: str, result: Any, status: str, traceback: str | None = None, request: Any = None, **options: Any
    ) -> Any:
        """Store a result once: after a success, nothing that another delivery of the message leads to replaces it."""
        if TaskResult.objects.filter(task_id=task_id, status=states.SUCCESS).exists():
            if status != states.SUCCESS:
                log.warning("task %s has its result already; %s is not stored", task_id, status)
            return result
        try:
            self._write_result(task_id, result, status, traceback, request)
        except DatabaseFault as exc:
            # Until a full disk has room again, a worker would wait: a failure is sent to its errbacks all the same.
            if status == states.SUCCESS or connection.in_atomic_block or not is_limit(exc):
                raise
            log.error("%s of task %s is not stored (%s)", status, task_id, error_name(exc))  # noqa: TRY400 - quotes rows
        return result

    def _write_result(self, task_id: str, result: Any, status: str, traceback: str | None, request: Any) -> None:
        """Insert or replace a result in one statement; django-celery-results takes four."""
        content_type, content_encoding, encoded = self.encode_content(result)
        _, _, meta = self.encode_content(
            {**self._get_meta_from_request(request), "children": self.current_task_children(request)}
        )
        fields = {
            **self._get_extended_properties(request, traceback),
            "content_type": content_type,
            "content_encoding": content_encoding,
            "result": encoded,
            "meta": meta,
            "status": status,
            "traceback": traceback,
        }
        TaskResult.objects.bulk_create(
            [TaskResult(task_id=task_id, **fields)],
            update_conflicts=True,
            update_fields=[*fields, "date_done"],
            unique_fields=["task_id"] if connection.features.supports_update_conflicts_with_target else None,
        )

    def apply_chord(self, header_result_args: Any, body: Signature[Any], **options: Any) -> None:
        """Prepare a chord; that of a job needs no counter."""
        if body.task != END:
            super().apply_chord(header_result_args, body, **options)

    def on_chord_part_return(self, request: Any, state: str, result: Any, **options: Any) -> None:
        """Send the body of a chord after its last task; that of a job when the ledger has no open slice of it."""
        if _task_name(request) != SLICE:
            with _noted(request, "the task that follows its chord"):
                super().on_chord_part_return(request, state, result, **options)
        elif self._until_the_database_is_back(lambda: jobs.is_over(UUID(request.args[0]))):
            try:
                Signature.from_dict(request.chord, app=self.app).apply_async()
            except Exception as exc:  # noqa: BLE001 - kombu raises many
                text = "the end of job %s could not be sent (%s); recovery sends it later"
                log.warning(text, request.args[0], type(exc).__name__)

    def _fail_chain(self, chain: Any, exc: Exception, *args: Any, **options: Any) -> None:
        """Fail the rest of a chain; a malformed one keeps no errback from being sent."""
        with _noted(None, "the rest of a chain"):
            super()._fail_chain(chain, exc, *args, **options)

    def _call_task_errbacks(self, request: Any, exc: Exception, traceback: Any) -> None:
        """Send errbacks one by one: one that cannot be sent keeps no other from being sent."""
        send = super()._call_task_errbacks
        for place, errback in enumerate(request.errbacks, 1):
            single = copy(request)
            single.errbacks = [errback]
            if fault := send_or_find_fault(partial(send, single, exc, traceback)):
                note_fault(request.id, f"error callback {place} of {len(request.errbacks)}", fault)

    def _until_the_database_is_back(self, work: Callable[[], T]) -> T:
        """Run one statement, and run it again while the database is away."""
        retries = 0
        while True:
            try:
                return work()
            except Exception as exc:
                if not self.exception_safe_to_retry(exc):
                    raise
                milliseconds = get_exponential_backoff_interval(
                    self.base_sleep_between_retries_ms, retries, self.max_sleep_between_retries_ms, True
                )
                log.warning("the database does not answer; next attempt in %.1f s", milliseconds / 1000)
            retries += 1
            time.sleep(milliseconds / 1000)


def _task_name(request: Any) -> str | None:
    return getattr(request, "task", None)  # A request for an unknown task has no such attribute.


@contextmanager
def _noted(request: Any, message: str) -> Iterator[None]:
    """Note that a message cannot be sent; the task has ended, whatever comes of it."""
    try:
        yield
    except Exception as exc:
        if is_transient(exc):
            raise
        note_fault(request.id if request else "", message, type(exc).__name__)


def _has_job(task_id: str, exc: Exception | None = None) -> bool:
    """Return whether a task id is that of a job which the exception of a message does not end.

    A job that was refused or failed ends with its own exception; a second request under its id never ends it.
    """
    try:
        job_id = UUID(task_id)
    except ValueError:
        return False
    found = LinkingJob.objects.filter(pk=job_id)
    if not isinstance(exc, IdempotencyConflictError):
        found = found.exclude(state__in=(LinkingJob.State.REFUSED, LinkingJob.State.FAILED))
    return found.exists()
