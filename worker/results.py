"""The result backend: django-celery-results, patient with a database that restarts, with chords that count right."""

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from celery import Signature, states
from celery.utils.log import get_task_logger
from celery.utils.time import get_exponential_backoff_interval
from django.db import connection, transaction
from django_celery_results.backends import DatabaseBackend
from django_celery_results.models import ChordCounter, TaskResult  # type: ignore[attr-defined] # not in celery-types

from worker.exceptions import OUTAGES
from worker.models import LinkingJob

log = get_task_logger(__name__)

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
        if connection.in_atomic_block or not isinstance(exc, OUTAGES):
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

    def _until_the_database_is_back(self, work: Callable[[], None]) -> None:
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
    still_open = set(LinkingJob.objects.filter(announced=None).values_list("pk", flat=True))
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


def _is_ours(request: Any) -> bool:
    """Tell whether a request is a part of one of our chords; a job may be a part of its caller's."""
    return bool(request and request.chord and request.group and request.task == PART)


def _locked_counter(group_id: str) -> ChordCounter | None:
    return ChordCounter.objects.select_for_update().filter(group_id=group_id).first()
