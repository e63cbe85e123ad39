"""Liveness and readiness of the pages' server while its database and its broker stop and start."""

import json
import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any
from urllib.error import HTTPError

import psutil
import pytest

from devservers import PostgresServer, RedisServer, Server, WebServer

READY = (200, {"database": "ok", "broker": "ok"})


class HealthServer(WebServer):
    """Our pages, requested by address, as a probe does."""

    def read(self, path: str) -> tuple[int, Any]:
        """Return status and JSON of a page."""
        try:
            return 200, json.loads(self.get(path))
        except HTTPError as error:
            return error.code, json.load(error)


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="module")
def broker() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def web(database: PostgresServer, broker: RedisServer) -> Iterator[HealthServer]:
    urls = {"DATABASE_URL": database.url + "&application_name=top-secret", "CELERY_BROKER_URL": broker.url}
    with HealthServer(urls | {"ALLOWED_HOSTS": "links.example", "TLS_PROXY": "1"}) as server:
        yield server


@pytest.mark.parametrize("part", ["database", "broker"])
def test_readiness_names_the_part_that_is_away_and_the_log_has_no_addresses(
    part: str, web: HealthServer, request: pytest.FixtureRequest
) -> None:
    server: PostgresServer | RedisServer = request.getfixturevalue(part)
    assert web.read("/readyz") == READY

    server.stop()
    assert web.read("/readyz") == (503, READY[1] | {part: "no answer"})
    assert web.read("/healthz") == (200, {"process": "ok"})

    server.start()
    assert web.read("/readyz") == READY
    log = web.log.read_text()
    assert f"not ready: the {part} does not answer (OperationalError)" in log
    assert server.url not in log
    assert "top-secret" not in log


@pytest.mark.parametrize("part", ["database", "broker"])
def test_readiness_does_not_wait_for_a_frozen_part(
    part: str, web: HealthServer, request: pytest.FixtureRequest
) -> None:
    server: Server = request.getfixturevalue(part)
    frozen = server.family()
    send_to_all(frozen, signal.SIGSTOP)
    try:
        answer = web.read("/readyz")
    finally:
        send_to_all(frozen, signal.SIGCONT)

    assert answer == (503, READY[1] | {part: "no answer"})
    assert web.read("/readyz") == READY


def send_to_all(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # PostgreSQL ends idle helper processes.
            process.send_signal(number)
