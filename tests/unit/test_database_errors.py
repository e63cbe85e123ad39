"""Which errors of a database are contention, which are an outage, and which are a learner's."""

import sqlite3
from pathlib import Path

import pytest
from django.db import DatabaseError, IntegrityError, InterfaceError, OperationalError

from linking.bulk import is_outage
from linking.sql.postgresql import PostgreSQL
from linking.sql.sqlite import SQLite


def caused(kind: type[DatabaseError], **code: object) -> DatabaseError:
    """Return Django's error for a driver's error with ``code``."""
    error, cause = kind("text"), Exception()
    vars(cause).update(code)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("kind", "state", "expected"),
    [
        (OperationalError, "40P01", "contention"),
        (OperationalError, "40001", "contention"),
        (OperationalError, "55P03", "contention"),
        (OperationalError, None, "outage"),
        (OperationalError, "08006", "outage"),
        (OperationalError, "57P01", "outage"),
        (OperationalError, "53100", "outage"),
        (OperationalError, "58030", "outage"),
        (DatabaseError, "25P03", "outage"),
        (IntegrityError, "23505", ""),
        (DatabaseError, "25P02", ""),
        (IntegrityError, None, ""),
    ],
)
def test_postgresql_errors_are_classified_by_sqlstate(kind: type[DatabaseError], state: str, expected: str) -> None:
    error = caused(kind, sqlstate=state)
    dialect = PostgreSQL()

    assert (dialect.is_contention(error), dialect.is_outage(error)) == (expected == "contention", expected == "outage")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (sqlite3.SQLITE_BUSY, "contention"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "contention"),
        (sqlite3.SQLITE_LOCKED, "contention"),
        (sqlite3.SQLITE_CANTOPEN, "outage"),
        (sqlite3.SQLITE_IOERR_FSYNC, "outage"),
        (sqlite3.SQLITE_FULL, "outage"),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, ""),
        (sqlite3.SQLITE_ERROR, ""),
    ],
)
def test_sqlite_errors_are_classified_by_code(code: int, expected: str) -> None:
    error = caused(OperationalError, sqlite_errorcode=code)
    dialect = SQLite()

    assert (dialect.is_contention(error), dialect.is_outage(error)) == (expected == "contention", expected == "outage")


def test_real_sqlite_errors_have_these_codes(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError) as no_folder:
        sqlite3.connect(tmp_path / "missing" / "database")
    assert no_folder.value.sqlite_errorcode == sqlite3.SQLITE_CANTOPEN


def test_a_closed_connection_is_an_outage_and_an_error_of_python_is_not() -> None:
    assert is_outage(InterfaceError("connection already closed"))
    assert not is_outage(ValueError("text"))
