"""The private servers of the benchmarks, and Django set up for them."""

import logging
import os
import secrets
from contextlib import ExitStack

import django

from devservers import MariaDBServer, MySQLServer, PostgresServer, RedisServer
from devservers.server import ServerError

NAME = f"linking_bench_{os.getpid()}"
"""The database on a MySQL, which may be that of others."""
MYSQL_SETTINGS = ("--innodb-flush-log-at-trx-commit=1", "--innodb-buffer-pool-size=1G")
"""Durable, as the server is by default, and with memory for the rows of one database."""


def start_servers(
    stack: ExitStack, *, brokers: int = 0, database: str = "postgres", lms: bool = False
) -> tuple[str, list[str]]:
    """Start database and Redis servers, and set Django up for the database ``bench``, which need not exist yet.

    The worker's environment variables are removed first: the defaults are measured.

    Args:
        stack: ends the servers.
        database: ``postgres``, ``mysql`` or ``mariadb``. The MySQL is that of ``TESTS_MYSQL_URL``, if it is set.
        lms: whether the database is that of an LMS.
        brokers: number of Redis servers; the first becomes ``CELERY_BROKER_URL``.

    Returns:
        The URL of the server, for PostgreSQL that of its database ``postgres``, and the URLs of the brokers.
    """
    for name in [*os.environ]:
        if name.startswith(("LINKING_", "CELERY_")) or name in {"DEBUG", "DATABASE_URL"}:
            del os.environ[name]
    if database == "postgres":
        server_url = stack.enter_context(PostgresServer()).url
        url = server_url.replace("/postgres?", "/bench?")
    else:
        server_url = _mysql_url(stack, database)
        url = f"{server_url}{NAME}"
    broker_urls = [stack.enter_context(RedisServer()).url for _ in range(brokers)]
    os.environ |= {
        "SECRET_KEY": secrets.token_urlsafe(),
        "DJANGO_SETTINGS_MODULE": "worker.settings",
        "DATABASE_URL": url,
    }
    if lms:
        os.environ["LINKING_LMS"] = "1"
    if broker_urls:
        os.environ["CELERY_BROKER_URL"] = broker_urls[0]
    django.setup()
    logging.disable(logging.INFO)
    return server_url, broker_urls


def _mysql_url(stack: ExitStack, database: str) -> str:
    if database == "mysql" and (given := os.environ.get("TESTS_MYSQL_URL")):
        return given
    kind = MariaDBServer if database == "mariadb" else MySQLServer
    if not kind.is_installed():
        raise ServerError(kind.name, f"is not installed: {kind.package}")
    return stack.enter_context(kind(MYSQL_SETTINGS)).url
