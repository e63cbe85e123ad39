"""What a job can be refused for.

JobError
├── JobRefusedError
└── IdempotencyConflictError
"""


class JobError(Exception):
    """A job cannot be run as it was asked for."""


class JobRefusedError(JobError):
    """More enrollments would change hands than ``max_relinks`` allows; nothing was written."""


class IdempotencyConflictError(JobError):
    """The idempotency key stands for a job with another program, mapping or options."""
