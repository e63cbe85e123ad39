"""What keeps a job from being run, or run to its end.

JobError
├── JobRefusedError
├── JobFailedError
└── IdempotencyConflictError

InboxError
"""

from django.db import InterfaceError, InternalError, OperationalError

OUTAGES = (OperationalError, InterfaceError, InternalError)
"""What the database being away looks like: InternalError to a process whose transaction the server has ended, because
it was frozen in the middle of it."""


class JobError(Exception):
    """A job cannot be run, or changed, as it was asked for."""


class JobRefusedError(JobError):
    """More enrollments would change hands than ``max_relinks`` allows; nothing was written."""


class IdempotencyConflictError(JobError):
    """The idempotency key, or the task id, stands for a job with another program, mapping or options."""


class JobFailedError(JobError):
    """The job made no progress however often it was taken up again; its learners tell how far it came."""


class InboxError(Exception):
    """The folder that files to import are dropped in is not there, or cannot be used."""
