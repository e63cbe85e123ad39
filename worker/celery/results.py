"""Results of jobs: the ledger decides whether a job has failed, and each caller hears of it."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from celery import Signature, states
from celery.backends import base
from celery.exceptions import ChordError, TaskRevokedError
from celery.utils.log import get_task_logger
from celery.utils.time import get_exponential_backoff_interval
from django.db import connection

from linking.bulk import is_transient
from worker.celery.messages import SLICE
from worker.celery.sending import note_fault, send_or_find_fault
from worker.exceptions import IdempotencyConflictError, JobError, RequestFailedError
from worker.models import LinkingJob

log = get_task_logger(__name__)

T = TypeVar("T")
Backend: Any = base.Backend
"""Its type hints have a part of its methods only."""


class LedgerResults(Backend):  # type: ignore[misc] # typed as Any
    """Part of a result backend that asks the ledger."""

    def counts_chord(self, group_id: str) -> bool:
        """Return whether the results of a caller's chord are counted in this backend."""
        raise NotImplementedError

    def drop_results(self, job_ids: Iterable[UUID]) -> None:
        """Drop the results of jobs, if this backend keeps them outside of the database: they name a forgotten person.

        Those in the database were changed.
        """

    def mark_as_failure(
        self, task_id: str, exc: Exception, traceback: str | None = None, request: Any = None, **options: Any
    ) -> None:
        """Store a failure and send ``link_error``, unless the ledger says otherwise.

        A message about a job can fail where the job does not: its worker hit the time limit, its retry could not be
        sent, its task id was that of another job.
        """
        if task_name(request) == SLICE:  # It says nothing about its job; recovery sends the slice again.
            if options.get("store_result", True):
                self.store_result(task_id, exc, states.FAILURE, traceback=traceback, request=request)
            return
        if self.until_the_database_is_back(lambda: has_job(task_id, exc)):
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
        if task_name(request) != SLICE:  # Recovery sends it again.
            self.mark_as_failure(
                task_id, TaskRevokedError(reason), request=request, store_result=store_result, state=state
            )

    def on_chord_part_return(self, request: Any, state: str, result: Any, **options: Any) -> None:
        """Count the result of a part of a caller's chord, and send the chord's body after the last.

        A chord that is counted elsewhere never ends there. If a part fails, the body's errbacks are called from here.
        """
        with _noted(request, "the task that follows its chord"):
            if request.group and self.counts_chord(request.group):
                super().on_chord_part_return(request, state, result, **options)
            elif state in states.PROPAGATE_STATES:
                self._fail_chord_of_others(request, result)

    def _fail_chord_of_others(self, request: Any, exc: object) -> None:
        body = Signature.from_dict(request.chord, app=self.app)
        if body.id and self.get_state(body.id) in states.READY_STATES:
            return  # Another part of the chord has failed before.
        failure = ChordError(f"part {request.id} of the chord failed ({type(exc).__name__})")
        try:
            raise failure  # Celery reads the traceback of the current exception.
        except ChordError:
            self.chord_error_from_stack(body, failure)

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

    def until_the_database_is_back(self, work: Callable[[], T]) -> T:
        """Run one statement, and run it again while the database is away."""
        retries = 0
        while True:
            try:
                return work()
            except Exception as exc:
                if not will_pass(exc):
                    raise
                milliseconds = get_exponential_backoff_interval(
                    self.base_sleep_between_retries_ms, retries, self.max_sleep_between_retries_ms, True
                )
                log.warning("the database does not answer; next attempt in %.1f s", milliseconds / 1000)
            retries += 1
            time.sleep(milliseconds / 1000)


def will_pass(exc: Exception) -> bool:
    """Return whether a statement that failed is to be tried again, on a new connection."""
    if connection.in_atomic_block or not is_transient(exc):
        return False  # The transaction of a caller is lost as a whole.
    connection.close()
    return True


def task_name(request: Any) -> str | None:
    """Return the name of a request's task."""
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


def has_job(task_id: str, exc: Exception | None = None) -> bool:
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
