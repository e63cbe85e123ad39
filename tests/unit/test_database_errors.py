"""Errors of a database: contention, an outage, or an error of one learner."""

import sqlite3
from pathlib import Path

import pytest
from django.db import DatabaseError, IntegrityError, InterfaceError, OperationalError

from linking.bulk import is_outage
from linking.sql.interface import Dialect
from linking.sql.mysql import MySQL
from linking.sql.postgresql import PostgreSQL
from linking.sql.sqlite import SQLite


def caused(kind: type[DatabaseError], **code: object) -> DatabaseError:
    """Return Django's error for a driver's error with ``code``."""
    error, cause = kind("text"), Exception()
    vars(cause).update(code)
    error.__cause__ = cause
    return error


def postgresql(state: str | None, kind: type[DatabaseError] = OperationalError) -> tuple[PostgreSQL, DatabaseError]:
    return PostgreSQL(), caused(kind, sqlstate=state)


def mysql(code: int, kind: type[DatabaseError] = OperationalError) -> tuple[MySQL, DatabaseError]:
    error = kind(code, "text")
    error.__cause__ = Exception(code, "text")
    return MySQL(), error


def sqlite(code: int) -> tuple[SQLite, DatabaseError]:
    return SQLite(), caused(OperationalError, sqlite_errorcode=code)


@pytest.mark.parametrize(
    ("dialect", "error", "expected"),
    [
        *((*postgresql(state), "contention") for state in ("40P01", "40001", "55P03")),
        *((*postgresql(state), "outage") for state in (None, "08006", "57P01", "53100", "58030")),
        (*postgresql("25P03", DatabaseError), "outage"),
        (*postgresql("23505", IntegrityError), ""),
        (*postgresql("25P02", DatabaseError), ""),
        (*postgresql(None, IntegrityError), ""),
        *((*mysql(code), "contention") for code in (1205, 1213, 1412, 1467, 3101)),
        *((*mysql(code), "outage") for code in (2002, 2006, 2013, 1053, 1158, 1161, 1927, 3168, 3169, 4031, 1021)),
        *((*mysql(code, IntegrityError), "") for code in (1062, 1452)),
        *((*mysql(code, DatabaseError), "") for code in (1064, 1366)),
        (*sqlite(sqlite3.SQLITE_BUSY), "contention"),
        (*sqlite(sqlite3.SQLITE_BUSY_SNAPSHOT), "contention"),
        (*sqlite(sqlite3.SQLITE_LOCKED), "contention"),
        (*sqlite(sqlite3.SQLITE_CANTOPEN), "outage"),
        (*sqlite(sqlite3.SQLITE_IOERR_FSYNC), "outage"),
        (*sqlite(sqlite3.SQLITE_FULL), "outage"),
        (*sqlite(sqlite3.SQLITE_CONSTRAINT_UNIQUE), ""),
        (*sqlite(sqlite3.SQLITE_ERROR), ""),
    ],
)
def test_errors_are_classified_by_their_code(dialect: Dialect, error: DatabaseError, expected: str) -> None:
    assert (dialect.is_contention(error), dialect.is_outage(error)) == (expected == "contention", expected == "outage")


def test_a_lock_timeout_is_contention_after_which_to_run_again_later() -> None:
    for dialect, error in (postgresql("55P03"), mysql(1205), sqlite(sqlite3.SQLITE_BUSY)):
        assert dialect.is_lock_timeout(error)
    for dialect, error in (
        postgresql("40P01"),
        postgresql(None),
        mysql(1213),
        mysql(2013),
        sqlite(sqlite3.SQLITE_BUSY_SNAPSHOT),
    ):
        assert not dialect.is_lock_timeout(error)


@pytest.mark.parametrize(
    ("dialect", "error", "code", "is_limit"),
    [
        *((*postgresql(state), state, True) for state in ("57014", "53100", "53200")),
        *((*postgresql(state), state, False) for state in ("57P01", "08006", "55P03", "23505")),
        (*postgresql(None), "", False),
        *((*mysql(code), str(code), True) for code in (1114, 3024)),
        *((*mysql(code), str(code), False) for code in (2013, 1205)),
        (*sqlite(sqlite3.SQLITE_FULL), "", True),
        (*sqlite(sqlite3.SQLITE_BUSY), "", False),
    ],
)
def test_limits_of_the_database_are_told_from_outages(
    dialect: Dialect, error: DatabaseError, code: str, *, is_limit: bool
) -> None:
    assert (dialect.error_code(error), dialect.is_limit(error)) == (code, is_limit)


def test_real_sqlite_errors_have_these_codes(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError) as no_folder:
        sqlite3.connect(tmp_path / "missing" / "database")
    assert no_folder.value.sqlite_errorcode == sqlite3.SQLITE_CANTOPEN


def test_a_closed_connection_is_an_outage_and_an_error_of_python_is_not() -> None:
    assert is_outage(InterfaceError("connection already closed"))
    assert not is_outage(ValueError("text"))
