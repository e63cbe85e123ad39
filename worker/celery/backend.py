"""The result backend: django-celery-results, patient with a database that restarts, with chords that count right."""

import time
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

from celery import Signature, states
from celery.utils.log import get_task_logger
from celery.utils.time import get_exponential_backoff_interval
from django.db import connection, transaction
from django_celery_results.backends import DatabaseBackend
from django_celery_results.models import ChordCounter, TaskResult  # type: ignore[attr-defined] # not in celery-types

from linking.bulk import is_transient
from worker.exceptions import JobError
from worker.models import LinkingJob

log = get_task_logger(__name__)

T = TypeVar("T")

PART = "linking.link_learners"
"""The task that our chords are made of."""


class LedgerBackend(DatabaseBackend):  # type: ignore[misc] # typed as Any in celery-types
    """Results beside the ledger.

    The body of our chords asks the ledger what became of the header, never the header's results. So a part is stored
    and counted in one transaction, once however often its message is delivered; the last one sends the body without
    reading the results of all others; and no part that failed (its worker hit the time limit) fails the job.
    """

    def exception_safe_to_retry(self, exc: Exception) -> bool:
        """Store again, on a new connection, what a lost connection kept from being stored."""
        if connection.in_atomic_block or not is_transient(exc):
            return False  # A transaction of somebody else's is lost as a whole.
        connection.close()
        return True

    def mark_as_done(
        self,
        task_id: str,
        result: Any,
        request: Any = None,
        store_result: bool = True,
        state: str = states.SUCCESS,
    ) -> None:
        """Store a result; that of a part of a chord together with its being counted."""
        if not _is_ours(request):
            super().mark_as_done(task_id, result, request, store_result, state)
            return

        def store_and_count() -> None:
            counter = _locked_counter(request.group)
            if counter and TaskResult.objects.filter(task_id=task_id, status=states.SUCCESS).exists():
                return  # Another delivery of the same message was quicker.
            self.store_result(task_id, result, state, request=request)
            if counter:
                self._count(counter, request)

        self._until_the_database_is_back(store_and_count)

    def mark_as_failure(  # noqa: PLR0917 - Celery's
        self,
        task_id: str,
        exc: Exception,
        traceback: str | None = None,
        request: Any = None,
        store_result: bool = True,
        call_errbacks: bool = True,
        state: str = states.FAILURE,
    ) -> None:
        """Store a failure and call ``link_error``, unless the ledger knows better.

        A message about a job can fail where the job does not: its worker hit the time limit, its retry could not be
        sent, its task id was that of another job. What becomes of the job is the ledger's to say.
        """
        if self._until_the_database_is_back(lambda: _stands(task_id)):
            if not isinstance(exc, (ValueError, JobError)):
                log.warning("a message of job %s failed (%s); the job goes on", task_id, type(exc).__name__)
                return
            store_result = False  # The sender of a second order hears of it; the answer under the id is the first's.
        super().mark_as_failure(task_id, exc, traceback, request, store_result, call_errbacks, state)

    def mark_as_revoked(
        self,
        task_id: str,
        reason: str = "",
        request: Any = None,
        store_result: bool = True,
        state: str = states.REVOKED,
    ) -> None:
        """Store that a message was discarded, unless its job has begun: that is cancelled, not revoked."""
        stands = self._until_the_database_is_back(lambda: _stands(task_id))
        super().mark_as_revoked(task_id, reason, request, store_result and not stands, state)

    def _store_result(
        self, task_id: str, result: Any, status: str, traceback: str | None = None, request: Any = None, **options: Any
    ) -> Any:
        """Store a result; what worked stays so, whatever another delivery of its message comes to."""
        if status != states.SUCCESS and TaskResult.objects.filter(task_id=task_id, status=states.SUCCESS).exists():
            log.warning("task %s has its result already; %s is not stored", task_id, status)
            return result
        return super()._store_result(task_id, result, status, traceback, request, **options)

    def on_chord_part_return(self, request: Any, state: str, result: Any, **_: Any) -> None:
        """Leave a part that failed uncounted: it says nothing of its learners, and recovery looks into the ledger."""
        if not _is_ours(request):
            super().on_chord_part_return(request, state, result)

    def _count(self, counter: ChordCounter, request: Any) -> None:
        counter.count -= 1
        if counter.count > 0:
            counter.save(update_fields=["count"])
            return
        counter.delete()
        try:
            # Before the commit: whoever dies in between does so with the part uncounted, and it is delivered again.
            Signature.from_dict(request.chord, app=self.app).apply_async()
        except Exception:
            log.exception("the end of a job could not be sent; it is taken up from the ledger")

    def _until_the_database_is_back(self, work: Callable[[], T]) -> T:
        retries = 0
        while True:
            try:
                with transaction.atomic():
                    return work()
            except Exception as exc:
                if not self.exception_safe_to_retry(exc):
                    raise
                pause = (
                    get_exponential_backoff_interval(
                        self.base_sleep_between_retries_ms, retries, self.max_sleep_between_retries_ms, True
                    )
                    / 1000
                )
                log.warning("a result cannot be stored now; once more in %.1f s", pause)
            retries += 1
            time.sleep(pause)


def forget_chords(job_id: str) -> None:
    """Delete the chord counters of a job: those of dispatches that died half-way stay behind otherwise."""
    ChordCounter.objects.filter(group_id__startswith=f"{job_id}:").delete()


def forget_lost_chords() -> int:
    """Delete the chord counters that no open job waits for, and return how many they were."""
    counters = list(ChordCounter.objects.values_list("pk", "group_id"))
    # Read after the counters: a job is in the ledger before its counter.
    still_open = set(LinkingJob.objects.filter(notified=None).values_list("pk", flat=True))
    lost = [pk for pk, group_id in counters if (job_id := _job_of(group_id)) and job_id not in still_open]
    for counter in lost:
        ChordCounter.objects.filter(pk=counter).delete()
    return len(lost)


def _job_of(group_id: str) -> UUID | None:
    """Return the job that a chord belongs to, None where it is none of ours."""
    job_id, colon, _ = group_id.partition(":")
    try:
        return UUID(job_id) if colon else None
    except ValueError:
        return None


def _stands(task_id: str) -> bool:
    """Tell whether a task id is that of a job which has not failed."""
    try:
        job_id = UUID(task_id)
    except ValueError:
        return False
    failed = (LinkingJob.State.REFUSED, LinkingJob.State.FAILED)
    return LinkingJob.objects.filter(pk=job_id).exclude(state__in=failed).exists()


def _is_ours(request: Any) -> bool:
    """Tell whether a request is a part of one of our chords; a job may be a part of its caller's."""
    return bool(request and request.chord and request.group and request.task == PART)


def _locked_counter(group_id: str) -> ChordCounter | None:
    return ChordCounter.objects.select_for_update().filter(group_id=group_id).first()
