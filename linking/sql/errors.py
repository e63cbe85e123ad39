"""Failures of the database that are nobody's fault and pass: which they are, and how long to wait."""

import random

from django.db import DatabaseError, InterfaceError, OperationalError, connection

DEADLOCK_DETECTED, SERIALIZATION_FAILURE, LOCK_NOT_AVAILABLE = "40P01", "40001", "55P03"
CONNECTION_EXCEPTION, OPERATOR_INTERVENTION, INSUFFICIENT_RESOURCES, SYSTEM_ERROR = "08", "57", "53", "58"
TRANSACTION_TIMED_OUT = "25P03", "25P04"
"""What a process finds that was frozen in the middle of a transaction for too long: the server has ended it."""
ATTEMPTS = 8
"""How often a transaction is tried before a deadlock counts as its failure."""


def is_contention(error: BaseException) -> bool:
    """Tell whether the transaction lost against another one and may simply run again."""
    if _sqlstate(error) in {DEADLOCK_DETECTED, SERIALIZATION_FAILURE, LOCK_NOT_AVAILABLE}:
        return True
    return connection.vendor == "sqlite" and isinstance(error, OperationalError) and "locked" in str(error)


def is_outage(error: BaseException) -> bool:
    """Tell whether the database, not the learner, is in trouble: connection lost, server stopping, disk full."""
    if isinstance(error, InterfaceError):
        return True
    if not isinstance(error, DatabaseError):
        return False
    state = _sqlstate(error)
    if state.startswith(
        (CONNECTION_EXCEPTION, OPERATOR_INTERVENTION, INSUFFICIENT_RESOURCES, SYSTEM_ERROR, *TRANSACTION_TIMED_OUT)
    ):
        return True
    # The client library's own errors have no SQLSTATE: server closed the connection, could not connect.
    return connection.vendor == "postgresql" and isinstance(error, OperationalError) and not state


def is_transient(error: BaseException) -> bool:
    """Tell whether trying again, later, may help."""
    return is_contention(error) or is_outage(error)


def pause(attempt: int) -> float:
    """Return the seconds to wait after ``attempt`` (from 0): doubling up to 2 s, with full jitter."""
    return random.uniform(0, min(2.0, 0.02 * 2**attempt))  # noqa: S311 - jitter, not secrecy


def _sqlstate(error: BaseException) -> str:
    return getattr(error.__cause__, "sqlstate", None) or ""
