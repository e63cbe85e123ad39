"""The result backend: django-celery-results, patient with a database that restarts and deaf to chords that fail."""

from typing import Any

from celery import Signature
from celery.utils.log import get_task_logger
from django.db import InterfaceError, OperationalError, connection
from django_celery_results.backends import DatabaseBackend
from django_celery_results.models import ChordCounter  # type: ignore[attr-defined] # not in celery-types

log = get_task_logger(__name__)


class LedgerBackend(DatabaseBackend):  # type: ignore[misc] # typed as Any in celery-types
    """Results beside the ledger.

    A part of a chord that fails (its worker hit the time limit, its result could not be stored) says nothing about the
    learners: the ledger does. So the chord's body is called all the same, and finds out there whether the job can end.
    """

    def exception_safe_to_retry(self, exc: Exception) -> bool:
        """Store again, on a new connection, what a lost connection kept from being stored."""
        if connection.in_atomic_block or not isinstance(exc, (OperationalError, InterfaceError)):
            return False  # A transaction of somebody else's is lost as a whole.
        connection.close()
        return True

    def chord_error_from_stack(self, callback: Signature[Any], exc: Exception | None = None) -> None:
        """Call the body of a chord of which some part failed."""
        log.warning("a chord had a part that failed (%s); the ledger decides", type(exc).__name__)
        callback.apply_async()


def forget_chords(job_id: str) -> None:
    """Delete the chord counters of a job: those of dispatches that died half-way stay behind otherwise."""
    ChordCounter.objects.filter(group_id__startswith=f"{job_id}:").delete()
