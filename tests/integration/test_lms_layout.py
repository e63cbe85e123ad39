"""What is read of tables is what our own migrations created, on each database server."""

import pytest
from django.db import connection

from linking.lms_layout import needed_tables, read_tables
from linking.models import ProgramEnrollment

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif("connection.vendor == 'sqlite'", reason="no LMS runs on SQLite"),
    pytest.mark.skipif("config.getoption('lms')", reason="the tables are those of an LMS"),
]


def test_columns_and_indexes_are_read() -> None:
    table = ProgramEnrollment._meta.db_table  # noqa: SLF001 - Django's documented API
    needed = next(needed for needed in needed_tables() if needed.name == table)

    found = read_tables(connection, [table, "no_such_table"])

    assert found.keys() == {table}
    assert found[table].columns.keys() == needed.columns.keys()
    assert {*needed.uniques} <= {*found[table].uniques}
    assert all(any(index[0] == name for index in found[table].indexes) for name in needed.lookups)
    assert found[table].columns["id"].is_filled
    assert found[table].columns["user_id"].is_null
    assert found[table].columns["status"].length == 9
    assert not found[table].columns["status"].is_null
    assert found[table].columns["modified"].precision == 6
