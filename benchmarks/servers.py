"""The private servers of the benchmarks, and Django set up for them."""

import logging
import os
import secrets
from contextlib import ExitStack

import django

from devservers import PostgresServer, RedisServer


def start_servers(stack: ExitStack, *, brokers: int = 0) -> tuple[str, list[str]]:
    """Start PostgreSQL and Redis servers, and set Django up for the database ``bench``, which need not exist yet.

    The worker's environment variables are removed first: the defaults are measured.

    Args:
        stack: ends the servers.
        brokers: number of Redis servers; the first becomes ``CELERY_BROKER_URL``.

    Returns:
        The URL of the server's database ``postgres``, and the URLs of the brokers.
    """
    for name in [*os.environ]:
        if name.startswith(("LINKING_", "CELERY_")) or name in {"DEBUG", "DATABASE_URL"}:
            del os.environ[name]
    server_url = stack.enter_context(PostgresServer()).url
    broker_urls = [stack.enter_context(RedisServer()).url for _ in range(brokers)]
    os.environ |= {
        "SECRET_KEY": secrets.token_urlsafe(),
        "DJANGO_SETTINGS_MODULE": "worker.settings",
        "DATABASE_URL": server_url.replace("/postgres?", "/bench?"),
    }
    if broker_urls:
        os.environ["CELERY_BROKER_URL"] = broker_urls[0]
    django.setup()
    logging.disable(logging.INFO)
    return server_url, broker_urls
