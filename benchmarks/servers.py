"""The private servers that are measured on, and Django set up for them."""

import logging
import os
import secrets
from contextlib import ExitStack

import django

from devservers import postgres, redis


def start_servers(stack: ExitStack, *, brokers: int) -> tuple[str, list[str]]:
    """Start PostgreSQL and so many Redis servers for as long as ``stack`` is open; set Django up for them.

    Whatever the shell's environment says of the worker is forgotten: the defaults are what is measured.

    Returns:
        The URL of the server's database ``postgres``, and those of the brokers; the worker's is the first.
    """
    for name in [*os.environ]:
        if name.startswith(("LINKING_", "CELERY_")) or name in {"DEBUG", "DATABASE_URL"}:
            del os.environ[name]
    server_url = stack.enter_context(postgres())
    broker_urls = [stack.enter_context(redis()) for _ in range(brokers)]
    os.environ |= {
        "SECRET_KEY": secrets.token_urlsafe(),
        "CELERY_BROKER_URL": broker_urls[0],
        "DJANGO_SETTINGS_MODULE": "worker.settings",
        "DATABASE_URL": server_url.replace("/postgres?", "/bench?"),
    }
    django.setup()
    logging.disable(logging.INFO)
    return server_url, broker_urls
