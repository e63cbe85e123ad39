"""Log records about jobs and slices, which name no learner, and the log's formats.

The settings import this module, hence before Django's models are ready.
"""

import logging
from collections.abc import Iterator, Mapping
from traceback import format_tb
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import Error as DatabaseFault
from django.utils import timezone
from pythonjsonlogger.json import JsonFormatter

if TYPE_CHECKING:
    from worker.models import LinkingJob

log = logging.getLogger(__name__)

HIDDEN = "(hidden: it may name learners)"
INVALID_MESSAGE_HANDLERS = {
    *("on_unknown_message", "on_unknown_task", "on_invalid_task", "on_decode_error"),  # Celery's consumer.
    *("_receive_one", "_do_restore_message"),  # kombu's Redis transport.
}
"""Functions that log an invalid message with its headers and body."""
RECORD_FIELDS = ("time", "level", "logger", "message", "exc_info")
EVENT_FIELDS = ("event", "job", "slice", "program", "state", "total", "counts", "seconds")


class RedactMessages(logging.Filter):
    """Redacts invalid messages: the record of a misspelled task name would hold its whole mapping."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact everything but the error."""
        if record.funcName in INVALID_MESSAGE_HANDLERS and isinstance(record.args, tuple):
            record.args = tuple(value if isinstance(value, Exception) else HIDDEN for value in record.args)
        return True


class RedactDatabaseErrors(logging.Filter):
    """Removes the texts of database errors, which quote rows, from tracebacks and arguments."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Write the traceback here, where it holds such an error."""
        if isinstance(record.args, tuple):
            record.args = tuple(
                f"{type(value).__name__} {HIDDEN}" if is_database_error(value) else value for value in record.args
            )
        if isinstance(record.exc_info, tuple) and any(map(is_database_error, _chain(record.exc_info[1]))):
            parts = [
                f"Traceback (most recent call last):\n{''.join(format_tb(error.__traceback__))}"
                f"{type(error).__qualname__}: {HIDDEN if is_database_error(error) else error}"
                for error in _chain(record.exc_info[1])
            ]
            record.exc_info, record.exc_text = None, "\n\nraised while this was handled:\n\n".join(reversed(parts))
        return True


def is_database_error(value: object) -> bool:
    """Return whether an object is an error of Django's database layer or of a driver."""
    drivers = {"psycopg", "sqlite3", "MySQLdb"}
    return isinstance(value, DatabaseFault) or (
        isinstance(value, BaseException) and type(value).__module__.partition(".")[0] in drivers
    )


def forget_database_errors(error: BaseException) -> None:
    """Remove the database errors that an exception was raised after, since tracebacks show their texts."""
    for one in _chain(error):
        if any(is_database_error(before) for before in (one.__cause__, one.__context__)):
            one.__cause__ = one.__context__ = None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and those that its traceback shows as what it was raised after."""
    while error is not None:
        before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        yield error
        error = before


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


def logging_settings(log_format: str, *, with_learners: bool) -> dict[str, Any]:
    """Return Django's LOGGING for a format of LINKING_LOG_FORMAT, with or without records that name learners."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"},
            "json": {"()": "worker.logs.LogFormatter"},
        },
        "handlers": {
            "console": {
                "class": "logging.StreamHandler",
                "formatter": log_format,
                "filters": [] if with_learners else ["database errors"],
            }
        },
        "filters": {
            "redact": {"()": "worker.logs.RedactMessages"},
            "database errors": {"()": "worker.logs.RedactDatabaseErrors"},
        },
        "root": {"handlers": ["console"], "level": "INFO"},
        "loggers": {
            # The one logger that names learners, which is personal data: silent unless switched on.
            "linking.learners": {
                "handlers": ["console"] if with_learners else [],
                "level": "INFO" if with_learners else "CRITICAL",
                "propagate": False,
            },
            # Django logs the text of a receiver's error, which may name learners; linking.outbox logs type and place.
            "django.dispatch": {"level": "ERROR" if with_learners else "CRITICAL"},
            # Celery and kombu log a message that they cannot process as a whole, learners included.
            **{
                name: {"filters": [] if with_learners else ["redact"]}
                for name in ("celery.worker.consumer.consumer", "kombu.transport.redis")
            },
        },
    }
