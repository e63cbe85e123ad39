"""Database errors that say nothing about the statement: contention and outages."""

from django.db import DatabaseError, InterfaceError

from linking.sql import dialect


def is_contention(error: BaseException) -> bool:
    """Return whether the transaction lost against another one and may simply run again."""
    return dialect().is_contention(error)


def is_outage(error: BaseException) -> bool:
    """Return whether the database failed and not the statement: connection lost, server stopping, disk full."""
    return isinstance(error, InterfaceError) or (isinstance(error, DatabaseError) and dialect().is_outage(error))


def is_transient(error: BaseException) -> bool:
    """Return whether a later attempt may succeed."""
    return is_contention(error) or is_outage(error)
