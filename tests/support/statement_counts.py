"""How many statements more a database needs that lacks RETURNING."""

from django.conf import settings
from django.db import connection

from linking.engine.lms_tables import lms_tables


def more_of_the_ledger() -> int:
    """Return the further statements of the ledger for a slice: an attempt is counted in two (lock and read, count)."""
    return int(connection.vendor == "mysql")


def more_of_the_engine() -> int:
    """Return the further statements of the engine for a slice: rows that were inserted are read back; history."""
    return (not connection.features.can_return_columns_from_insert) + more_of_history() + settings.LINKING_LMS


def more_of_history() -> int:
    """Return the statements that write the history of an LMS for a slice, one for each table.

    Linking also claims the enrollments that were allowed by e-mail.
    """
    tables = lms_tables()
    return len(tables.histories) + tables.has_role_history
