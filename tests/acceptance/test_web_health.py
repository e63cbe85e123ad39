"""What the pages' server tells those who watch over it, while its database and its broker go and come back."""

import http.client
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from devservers import PostgresServer, RedisServer
from devservers.server import Server

ROOT = Path(__file__).resolve().parents[2]
READY = (200, {"database": "ok", "broker": "ok"})


class WebServer(Server):
    """gunicorn with our pages."""

    name = "web"

    def __init__(self, database_url: str, broker_url: str) -> None:
        self._env = {"DATABASE_URL": database_url, "CELERY_BROKER_URL": broker_url, "ALLOWED_HOSTS": "links.example"}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]

    def command(self) -> Sequence[str]:
        address = f"127.0.0.1:{self._port}"
        options = ("--bind", address, "--threads", "2", "--no-control-socket")
        return [sys.executable, "-m", "gunicorn", "worker.web.wsgi", *options]

    def process_options(self) -> dict[str, Any]:
        return {"env": {**os.environ, **self._env}, "cwd": ROOT}

    def answers(self) -> bool:
        try:
            return self.get("/healthz")[0] == 200
        except OSError:
            return False

    def get(self, path: str) -> tuple[int, Any]:
        """Return status and JSON of a page, asked for by address as probes do."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="module")
def broker() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def web(database: PostgresServer, broker: RedisServer) -> Iterator[WebServer]:
    with WebServer(database.url + "&application_name=top-secret", broker.url) as server:
        yield server


@pytest.mark.parametrize("part", ["database", "broker"])
def test_readiness_tells_which_part_is_away_and_when_it_is_back(
    part: str, web: WebServer, request: pytest.FixtureRequest
) -> None:
    server: Server = request.getfixturevalue(part)
    assert web.get("/readyz") == READY

    server.stop()
    assert web.get("/readyz") == (503, READY[1] | {part: "no answer"})
    assert web.get("/healthz") == (200, {"process": "ok"})

    server.start()
    assert web.get("/readyz") == READY


@pytest.mark.parametrize("part", ["database", "broker"])
def test_a_part_that_froze_is_not_waited_for(part: str, web: WebServer, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(part)
    frozen = server.family()
    for process in frozen:
        process.send_signal(signal.SIGSTOP)
    try:
        told = web.get("/readyz")
    finally:
        for process in frozen:
            process.send_signal(signal.SIGCONT)

    assert told == (503, READY[1] | {part: "no answer"})
    assert web.get("/readyz") == READY


def test_what_failed_is_logged_without_what_it_was_called_with(web: WebServer, broker: RedisServer) -> None:
    broker.stop()
    web.get("/readyz")
    broker.start()

    log = web.log.read_text()
    assert "not ready: the broker does not answer (OperationalError)" in log
    assert broker.url not in log
    assert "top-secret" not in log
