"""What the log says, and in which form: jobs and slices by number and count, never who is in them.

Imported with the settings, hence before Django's models.
"""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django.utils import timezone
from pythonjsonlogger.json import JsonFormatter

if TYPE_CHECKING:
    from worker.models import LinkingJob

log = logging.getLogger(__name__)

UNUSABLE: Final = frozenset({"on_unknown_message", "on_unknown_task", "on_invalid_task", "on_decode_error"})
"""The functions of Celery's consumer that log a message that no task takes, with its headers and body."""
FIELDS: Final = frozenset(
    {
        "time",
        "level",
        "logger",
        "message",
        "exc_info",
        "event",
        "job",
        "slice",
        "program",
        "state",
        "total",
        "counts",
        "seconds",
    }
)
"""What a record holds as JSON: nothing that a library puts beside its text, such as Celery a task's arguments."""


class RedactMessages(logging.Filter):
    """A misspelled task name must not put a whole mapping into the log: the error itself is what is kept."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Hide everything but the error."""
        if record.funcName in UNUSABLE and isinstance(record.args, tuple):
            record.args = tuple(
                value if isinstance(value, Exception) else "(not shown: it may name learners)" for value in record.args
            )
        return True


class LogFormatter(JsonFormatter):
    """A record as one line of JSON; ``time`` is ISO 8601 in UTC."""

    def __init__(self) -> None:
        names = {"levelname": "level", "name": "logger"}
        super().__init__("{levelname}{name}{message}", style="{", rename_fields=names, timestamp="time")

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Leave out what is not ours to tell."""
        return {name: value for name, value in log_data.items() if name in FIELDS}


def log_slice_finished(job_id: UUID, number: int, counts: Mapping[str, int], seconds: float) -> None:
    """Log that a slice is finished: its learners by outcome, and how long the run took that finished it."""
    told = {"event": "slice finished", "job": str(job_id), "slice": number, "counts": dict(counts)}
    text = "slice %s of job %s finished in %.3f s: %s"
    log.info(text, number, job_id, seconds, _listed(counts), extra=told | {"seconds": round(seconds, 3)})


def log_job_ended(job: "LinkingJob") -> None:
    """Log that a job has ended, however: its learners by outcome, and how long ago it was asked for."""
    seconds = ((job.finished or timezone.now()) - job.created).total_seconds()
    told = {
        "event": "job ended",
        "job": str(job.pk),
        "program": str(job.program_uuid),
        "state": str(job.state),
        "total": job.total,
        "counts": dict(job.counts),
        "seconds": round(seconds, 3),
    }
    text = "job %s of %s learners is %s after %.3f s: %s"
    log.info(text, job.pk, job.total, job.state, seconds, _listed(job.counts), extra=told)


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items()) or "none done"
