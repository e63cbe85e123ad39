"""The result backends: django-celery-results, and Redis for callers that wait with ``get()``."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from celery import Signature, states
from celery.backends.redis import RedisBackend, SentinelBackend
from celery.utils.log import get_task_logger
from django.db import Error as DatabaseFault
from django.db import connection
from django_celery_results.backends import DatabaseBackend
from django_celery_results.models import ChordCounter, TaskResult  # type: ignore[attr-defined] # not in celery-types

from linking.bulk import error_name, is_limit
from worker import jobs
from worker.celery.messages import END, SLICE
from worker.celery.results import LedgerResults, task_name, will_pass
from worker.logs import HIDDEN

log = get_task_logger(__name__)


class LedgerBackend(LedgerResults, DatabaseBackend):  # type: ignore[misc] # typed as Any in celery-types
    """Results beside the ledger.

    A job's chord has no counter: the ledger knows which slices are open. A counter would be wrong as soon as a message
    is lost or delivered twice, or a task fails that had linked its learners.
    """

    def exception_safe_to_retry(self, exc: Exception) -> bool:
        """Return whether a result that was not stored is to be stored again, on a new connection."""
        return will_pass(exc)

    def _get_meta_from_request(self, request: Any = None) -> dict[str, Any]:
        """Return nothing: Celery would store a header ``meta`` of the caller's, whatever it is."""
        return {}

    def _store_result(
        self, task_id: str, result: Any, status: str, traceback: str | None = None, request: Any = None, **options: Any
    ) -> Any:
        """Store a result once: after a success, nothing that another delivery of the message leads to replaces it."""
        # A success that is stored again is the same.
        if status != states.SUCCESS and TaskResult.objects.filter(task_id=task_id, status=states.SUCCESS).exists():
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

    def counts_chord(self, group_id: str) -> bool:
        """Return whether the results of a caller's chord are counted in the database."""
        counted: bool = self.until_the_database_is_back(ChordCounter.objects.filter(group_id=group_id).exists)
        return counted

    def apply_chord(self, header_result_args: Any, body: Signature[Any], **options: Any) -> None:
        """Prepare a chord; that of a job needs no counter."""
        if body.task != END:
            super().apply_chord(header_result_args, body, **options)

    def on_chord_part_return(self, request: Any, state: str, result: Any, **options: Any) -> None:
        """Send the body of a chord after its last task; that of a job when the ledger has no open slice of it."""
        if task_name(request) != SLICE:
            super().on_chord_part_return(request, state, result, **options)
        elif self.until_the_database_is_back(lambda: jobs.is_over(UUID(request.args[0]))):
            try:
                Signature.from_dict(request.chord, app=self.app).apply_async()
            except Exception as exc:  # noqa: BLE001 - kombu raises many
                text = "the end of job %s could not be sent (%s); recovery sends it later"
                log.warning(text, request.args[0], type(exc).__name__)


class LedgerRedisBackend(LedgerResults, RedisBackend):  # type: ignore[misc] # typed as Any in part
    """Results in Redis. Celery's own counters end the chords of jobs; recovery ends those that lose count."""

    def counts_chord(self, group_id: str) -> bool:
        """Return whether the results of a caller's chord are counted in this Redis."""
        return bool(self.ensure(self.client.exists, (self.get_key_for_group(group_id, ".s"),)))

    def on_chord_part_return(  # type: ignore[override] # the others are keyword arguments
        self, request: Any, state: str, result: Any, **options: Any
    ) -> None:
        """Count the result of a part of a chord; the chord of a job is always counted here."""
        if task_name(request) == SLICE:
            RedisBackend.on_chord_part_return(self, request, state, result, **options)
        else:
            super().on_chord_part_return(request, state, result, **options)

    def _get_result_meta(self, *args: Any, **options: Any) -> dict[str, Any]:
        """Return a result as it is stored, without the arguments of its task, which name learners."""
        meta: dict[str, Any] = super()._get_result_meta(*args, **options)
        return meta | {name: HIDDEN for name in ("args", "kwargs") if name in meta}

    def drop_results(self, job_ids: Iterable[UUID]) -> None:
        """Drop the results of some jobs."""
        for job_id in job_ids:
            self.forget(str(job_id))


class LedgerSentinelBackend(LedgerRedisBackend, SentinelBackend):  # type: ignore[misc] # typed as Any in part
    """Results in a Redis that Sentinels name."""
