"""The HTTP API on a real web server, with a real worker, and while servers are away."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from devservers import PostgresServer, RedisServer, WebServer, WorkerProcess
from linking.models import ProgramEnrollment
from tests.support.api import make_token
from tests.support.http_server import ApiServer
from tests.support.rows import enroll, make_user
from tests.support.secrecy import SECRET, assert_silent, captured_events, learners, stored
from tests.support.sent_jobs import recover
from tests.support.service import Service
from tests.support.triggers import failing_writes
from tests.support.waiting import wait_until
from worker.api_tokens.models import Allowance
from worker.models import LinkingJob

StartServer = Callable[..., ApiServer]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def start_server(worker_env: dict[str, str]) -> Iterator[StartServer]:
    """Start a web server: ``start_server(env=None)``. All have the same token."""
    token = make_token(requests_per_minute=10_000)
    with ExitStack() as stack:

        def start(env: dict[str, str] | None = None) -> ApiServer:
            return stack.enter_context(ApiServer(worker_env | (env or {}), token))

        yield start


def test_learners_that_are_linked_over_http_are_named_in_the_response_and_nowhere_else(
    start_server: StartServer, celery_worker_process: WorkerProcess, worker_env: dict[str, str]
) -> None:
    before = len(celery_worker_process.log.read_text())
    server = start_server({"GUNICORN_CMD_ARGS": "--access-logfile -"})
    mapping = learners()
    with captured_events(worker_env["CELERY_BROKER_URL"]) as events:
        _, headers, submitted = server.submit(mapping)
        job = server.wait_for(headers["Location"])
        refused = [
            server.submit(mapping | {f"{SECRET}-none": None}),
            server.request("/api/jobs", mapping),
            server.request("/api/jobs", [mapping]),
            server.submit(mapping, max_relinks=0, **{f"{SECRET}-option": 1}),
            server.request(f"/api/jobs/{submitted['id']}?limit=0"),
        ]
        pages = [server.request(f"/api/jobs/{submitted['id']}?after={entry}&limit=1")[2] for entry in range(7)]

    not_linked = {"already_linked", "no_user", "no_enrollment", "course_error", "conflict"}
    assert job["counts"] == dict.fromkeys({"linked", "relinked"} | not_linked, 1)
    assert {status for status, *_ in refused} == {400}
    assert [page["next"] is not None for page in pages] == [True] * 6 + [False]
    assert SECRET in json.dumps(pages)
    web_log = server.log.read_text()
    assert "GET /api/jobs/" in web_log
    assert "limit=1" in web_log
    assert server.token not in web_log
    assert_silent("the web server's log", web_log)
    assert_silent("the worker's log", celery_worker_process.log.read_text()[before:])
    assert_silent("an event", json.dumps(events))
    assert_silent("a stored result", stored(submitted["id"]))
    assert_silent("the submission's response", json.dumps(submitted))


@pytest.mark.parametrize("error", ["check_violation", "lock_not_available"])
def test_errors_of_the_database_that_quote_rows_are_sent_to_nobody(
    start_server: StartServer, redis_without_worker: str, error: str
) -> None:
    server = start_server()
    quoted = {"text": f"refused by a trigger: {SECRET}-ada", "error": error}

    with failing_writes("worker_learneroutcome", "external_user_key", f"{SECRET}-1", **quoted):
        status, headers, problem = server.submit({f"{SECRET}-1": f"{SECRET}-ada"})

    assert status == (503 if error == "lock_not_available" else 500)
    assert ("Retry-After" in headers) == (status == 503)
    assert_silent("the response", json.dumps(problem))
    assert_silent("the web server's log", server.log.read_text())
    assert "a request to the API" in server.log.read_text()
    assert not LinkingJob.objects.exists()


def test_the_processes_of_the_server_share_the_limit_of_a_token(start_server: StartServer) -> None:
    servers = [start_server(), start_server()]
    for server in servers:
        server.token = make_token(requests_per_minute=6) if server is servers[0] else servers[0].token

    statuses = [servers[number % 2].request("/api/jobs/none")[0] for number in range(8)]

    assert statuses == [404] * 6 + [429] * 2


@pytest.mark.parametrize("is_frozen", [False, True], ids=["gone", "frozen"])
def test_a_job_that_is_submitted_while_the_broker_is_away_is_run_when_it_is_back(
    start_server: StartServer, start_worker: Callable[..., WorkerProcess], *, is_frozen: bool
) -> None:
    make_user("ada")
    enroll("s-1")
    with RedisServer() as broker:
        env = {"CELERY_BROKER_URL": broker.url, "LINKING_STALL_AFTER": "1"}
        server = start_server(env)
        if is_frozen:
            os.kill(broker.pid, signal.SIGSTOP)
        else:
            broker.kill()
        began = time.monotonic()
        status, headers, _ = server.submit({"s-1": "ada"})
        seconds = time.monotonic() - began
        assert status == 202
        assert seconds < 15
        assert LinkingJob.objects.get().dispatched is None

        if is_frozen:
            os.kill(broker.pid, signal.SIGCONT)
        else:
            broker.start()
        start_worker(env)
        with closing(Service(broker.url)) as service:
            time.sleep(1)  # LINKING_STALL_AFTER.
            recover(service)
            job = server.wait_for(headers["Location"])

    assert job["counts"] == {"linked": 1}
    assert ProgramEnrollment.objects.get().user is not None


def _manage(env: dict[str, str], *arguments: str) -> str:
    """Run ``manage.py`` on another database; return its output."""
    command = [sys.executable, "manage.py", *arguments]
    run = subprocess.run(command, env=os.environ | env, cwd=ROOT, check=True, capture_output=True, text=True)
    return run.stdout.strip()


def test_without_its_database_the_server_says_when_to_come_back(redis_url: str) -> None:
    with PostgresServer() as database:
        env = {"DATABASE_URL": database.url, "CELERY_BROKER_URL": redis_url}
        _manage(env, "migrate", "--verbosity=0")
        token = _manage(env, "api_tokens", "create", "sis", "--scope", "read", "--scope", "submit")
        with ApiServer(env, token) as server:
            status, headers, _ = server.submit({"s-1": "ada"})
            assert status == 202
            database.stop()
            away = [server.submit({"s-2": "ada"}), server.request(headers["Location"])]
            database.start()
            back = server.request(headers["Location"])[0]
            log = server.log.read_text()

    assert [(status, headers["Retry-After"]) for status, headers, _ in away] == [(503, "30")] * 2
    assert away[0][2] == {
        "title": "Service Unavailable",
        "status": 503,
        "detail": "the database does not answer: repeat the request later, a submission with its Idempotency-Key.",
    }
    assert back == 200
    assert "Traceback" not in log


def connect(server: WebServer) -> socket.socket:
    """Connect to a server."""
    return socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=20)


def _send(server: WebServer, head: str, body: bytes = b"", *, end: bool = False) -> bytes:
    """Send a request byte by byte; return the beginning of the response."""
    with connect(server) as connection:
        connection.sendall(head.encode() + b"\r\n\r\n" + body)
        if end:
            connection.shutdown(socket.SHUT_WR)
        return connection.recv(4096)


def test_a_body_is_refused_before_it_is_read(start_server: StartServer) -> None:
    server = start_server({"LINKING_MAX_REQUEST_BYTES": "1000"})
    post = "POST /api/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    authorized = f"{post}Authorization: Bearer {server.token}\r\n"

    # None of these bodies is sent: a server that reads them would wait.
    too_long = _send(server, f"{authorized}Content-Length: 1001")
    without_token = _send(server, f"{post}Content-Length: 1000")
    chunked = _send(server, f"{authorized}Transfer-Encoding: chunked", b"2\r\n{}\r\n0\r\n\r\n")
    ended = _send(server, f"{authorized}Content-Length: 1000", b"{}", end=True)

    statuses = [response.split(b" ")[1] for response in (too_long, without_token, chunked, ended)]
    assert statuses == [b"413", b"401", b"411", b"400"]


def test_large_bodies_are_processed_one_at_a_time_while_small_ones_pass(
    start_server: StartServer, redis_without_worker: str
) -> None:
    server = start_server()
    large = {f"student-{n}": "u" * 100 for n in range(10_000)}
    head = (
        f"POST /api/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {server.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {2**20 + 1}\r\n\r\n"
    )
    with connect(server) as slow:
        slow.sendall(head.encode())  # Its body follows later.
        wait_until(Allowance.objects.exists, "the request is authenticated")
        time.sleep(0.2)  # Until the server waits for the body.
        status, headers, problem = server.submit(large)
        small = server.submit({"s-1": "ada"})[0]
    after = server.submit(large)[0]

    assert (status, headers["Retry-After"]) == (503, "5")
    assert problem["detail"].startswith("another large request is being processed")
    assert (small, after) == (202, 202)
