"""Liveness and readiness of the pages' server while its database and its broker stop and start."""

import json
import signal
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError

import pytest

from devservers import PostgresServer, RedisServer, Server, WebServer

READY = (200, {"database": "ok", "broker": "ok"})


class HealthServer(WebServer):
    """Our pages, asked for their health as a probe does: by address."""

    def ask(self, path: str) -> tuple[int, Any]:
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
def test_readiness_names_the_part_that_is_away(part: str, web: HealthServer, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(part)
    assert web.ask("/readyz") == READY

    server.stop()
    assert web.ask("/readyz") == (503, READY[1] | {part: "no answer"})
    assert web.ask("/healthz") == (200, {"process": "ok"})

    server.start()
    assert web.ask("/readyz") == READY


@pytest.mark.parametrize("part", ["database", "broker"])
def test_a_part_that_froze_is_not_waited_for(part: str, web: HealthServer, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(part)
    frozen = server.family()
    for process in frozen:
        process.send_signal(signal.SIGSTOP)
    try:
        answer = web.ask("/readyz")
    finally:
        for process in frozen:
            process.send_signal(signal.SIGCONT)

    assert answer == (503, READY[1] | {part: "no answer"})
    assert web.ask("/readyz") == READY


def test_a_failed_check_is_logged_without_addresses(web: HealthServer, broker: RedisServer) -> None:
    broker.stop()
    web.ask("/readyz")
    broker.start()

    log = web.log.read_text()
    assert "not ready: the broker does not answer (OperationalError)" in log
    assert broker.url not in log
    assert "top-secret" not in log
