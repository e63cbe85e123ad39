"""Log records about jobs and slices, which name no learner, and the log's formats.

The settings import this module, hence before Django's models are ready.
"""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.utils import timezone
from pythonjsonlogger.json import JsonFormatter

if TYPE_CHECKING:
    from worker.models import LinkingJob

log = logging.getLogger(__name__)

INVALID_MESSAGE_HANDLERS = ("on_unknown_message", "on_unknown_task", "on_invalid_task", "on_decode_error")
"""Functions of Celery's consumer that log an invalid message with its headers and body."""
RECORD_FIELDS = ("time", "level", "logger", "message", "exc_info")
EVENT_FIELDS = ("event", "job", "slice", "program", "state", "total", "counts", "seconds")


class RedactMessages(logging.Filter):
    """Redacts invalid messages: the record of a misspelled task name would hold its whole mapping."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact everything but the error."""
        if record.funcName in INVALID_MESSAGE_HANDLERS and isinstance(record.args, tuple):
            record.args = tuple(
                value if isinstance(value, Exception) else "(not shown: it may name learners)" for value in record.args
            )
        return True


class LogFormatter(JsonFormatter):
    """Formats a record as one line of JSON; ``time`` is ISO 8601 in UTC."""

    def __init__(self) -> None:
        names = {"levelname": "level", "name": "logger"}
        super().__init__("{levelname}{name}{message}", style="{", rename_fields=names, timestamp="time")

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Remove other fields: libraries add some that hold learners, such as Celery the arguments of a task."""
        return {name: value for name, value in log_data.items() if name in RECORD_FIELDS + EVENT_FIELDS}


def log_slice_finished(job_id: UUID, number: int, counts: Mapping[str, int], seconds: float) -> None:
    """Log the outcomes of a slice, and the duration of the run that finished it."""
    fields = {"event": "slice finished", "job": str(job_id), "slice": number, "counts": dict(counts)}
    text = "slice %s of job %s finished in %.3f s: %s"
    log.info(text, number, job_id, seconds, _listed(counts), extra=fields | {"seconds": round(seconds, 3)})


def log_job_ended(job: "LinkingJob") -> None:
    """Log the state and outcomes of a job that has ended, and the seconds since it was submitted."""
    seconds = ((job.finished or timezone.now()) - job.created).total_seconds()
    fields = {
        "event": "job ended",
        "job": str(job.pk),
        "program": str(job.program_uuid),
        "state": str(job.state),
        "total": job.total,
        "counts": dict(job.counts),
        "seconds": round(seconds, 3),
    }
    text = "job %s of %s learners is %s after %.3f s: %s"
    log.info(text, job.pk, job.total, job.state, seconds, _listed(job.counts), extra=fields)


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items()) or "none done"
