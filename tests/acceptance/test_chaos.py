"""A short round of ``make chaos``: nothing is lost, done twice or left hanging."""

import pytest

from devservers import MySQLServer
from tests.support.programs import python, without_servers

NAMES = {"postgres": "postgresql", "mysql": "mysql", "mariadb": "mariadb"}
"""Names of ``--database`` of chaos, by those of the tests."""


def test_a_short_round_of_chaos_loses_doubles_and_leaves_hanging_nothing(pytestconfig: pytest.Config) -> None:
    database = pytestconfig.getoption("database")
    if database == "sqlite":
        pytest.skip("SQLite has no server")
    if database == "mysql" and not MySQLServer.is_installed():
        pytest.skip("the server of TESTS_MYSQL_URL is not killed: TESTS_MYSQLD may name a program")
    options = ("--database", NAMES[database], "--seed", "4", "--learners", "2000", "--faults", "26")

    process = python("-m", "chaos", *options, env=without_servers(), timeout=280)

    assert process.returncode == 0, process.stdout + process.stderr
    assert "0 lost, 0 doubled, 0 hanging, 0 other" in process.stdout
    for fault in (
        *("worker killed", "broker restarted empty", "database killed", "fan-out killed at a line"),
        *("connections cut in COMMIT", "rows locked in other orders", "sessions killed"),
        *("table locked", "burst of small jobs", "callback that cannot be sent", "request that ends its worker"),
    ):
        assert fault in process.stdout
