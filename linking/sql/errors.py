"""Database errors that pass: which they are, and how long to wait before the next attempt."""

import random

from django.db import DatabaseError, InterfaceError

from linking.sql import dialect

ATTEMPTS = 8
"""Attempts of a transaction before contention counts as its failure."""


def is_contention(error: BaseException) -> bool:
    """Return whether the transaction lost against another one and may simply run again."""
    return dialect().is_contention(error)


def is_outage(error: BaseException) -> bool:
    """Return whether the database failed and not the statement: connection lost, server stopping, disk full."""
    return isinstance(error, InterfaceError) or (isinstance(error, DatabaseError) and dialect().is_outage(error))


def is_transient(error: BaseException) -> bool:
    """Return whether a later attempt may succeed."""
    return is_contention(error) or is_outage(error)


def pause(attempt: int) -> float:
    """Return the seconds to wait after ``attempt`` (from 0): doubling up to 2 s, with full jitter."""
    return random.uniform(0, min(2.0, 0.02 * 2**attempt))  # noqa: S311 - jitter, not secrecy
