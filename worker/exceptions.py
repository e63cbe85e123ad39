"""Errors of the worker. The docstring of a class is its default message.

WorkerError
├── DatabaseFailureError
├── JobError
│   ├── IdempotencyConflictError
│   ├── JobFailedError
│   ├── JobRefusedError
│   └── RequestFailedError
├── LockedError
└── InboxError
"""

import inspect


class WorkerError(Exception):
    """The worker cannot do what it was asked to do."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or inspect.getdoc(type(self)))


class DatabaseFailureError(WorkerError):
    """A statement failed in the database.

    The text has the type and the code of the database's error, not its text, which may quote rows.
    """


class JobError(WorkerError):
    """The job cannot be run or changed as requested."""


class JobRefusedError(JobError):
    """More program enrollments would change hands than max_relinks allows; nothing was written."""


class IdempotencyConflictError(JobError):
    """The idempotency key, or the task id, belongs to a job with another program, mapping or options."""


class JobFailedError(JobError):
    """The job made no progress in any attempt to resume it; learners linked by then stay linked."""


class LockedError(WorkerError):
    """Another transaction locks rows that this needs for longer than LINKING_LOCK_TIMEOUT: try again later."""


class RequestFailedError(JobError):
    """The request failed in each of several attempts before its job was in the ledger; nothing was written."""


class InboxError(WorkerError):
    """The inbox folder does not exist or cannot be used."""
