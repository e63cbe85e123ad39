"""Connections by TLS, to Redis, RabbitMQ and PostgreSQL: only to a server that shows the right certificate."""

import os
import shutil
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from threading import Thread
from typing import Self

import pytest
import redis

from devservers import FlowerServer, Server, WorkerProcess
from devservers.broker import free_port
from tests.support.broker import TASKS
from tests.support.certificates import Authority
from tests.support.populations import add_learners
from tests.support.programs import python
from tests.support.service import Service, result_of
from tests.support.waiting import wait_until

CONNECT = "from worker.celery import app; app.connection_for_write().ensure_connection(max_retries=1, interval_start=0)"
"""Connect as workers, beat, Flower and commands do when they start."""
CONNECT_TO_DATABASE = "import django; django.setup(); django.db.connection.ensure_connection()"


class TlsRedis(Server):
    """A Redis that accepts only TLS, with a certificate for ``name``: a system package, since the wheel has no TLS."""

    name = "redis-tls"

    def __init__(self, program: str, authority: Authority, name: str = "localhost") -> None:
        self._program = program
        self._certificate, self._key = authority.issue(name)
        self.port = free_port()

    def command(self) -> Sequence[str]:
        files = ("--tls-cert-file", str(self._certificate), "--tls-key-file", str(self._key))
        return [
            *(self._program, "--port", "0", "--tls-port", str(self.port), "--bind", "127.0.0.1", *files),
            *("--tls-auth-clients", "no", "--save", "", "--dir", str(self.folder)),
        ]

    def answers(self) -> bool:
        try:
            with redis.Redis("127.0.0.1", self.port, ssl=True, ssl_cert_reqs="none") as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
def tls_redis(authority: Authority) -> Iterator[Callable[[str], TlsRedis]]:
    """Start a Redis that shows the certificate of a name: ``tls_redis(name)``."""
    program = shutil.which("redis-server")
    if program is None:
        missing = "no redis-server in PATH that speaks TLS: apt-get install redis-server"
        if os.environ.get("TESTS_MUST_NOT_SKIP"):
            pytest.fail(missing)
        pytest.skip(missing)
    with ExitStack() as stack:

        def start(name: str = "localhost") -> TlsRedis:
            return stack.enter_context(TlsRedis(program, authority, name))

        yield start


def connect(program: str = CONNECT, **environment: str) -> str:
    """Connect with our configuration; return the error, or nothing."""
    env = {"PATH": os.environ["PATH"], "DEBUG": "1", "DJANGO_SETTINGS_MODULE": "worker.settings", **environment}
    process = python("-c", program, env=env)
    return "" if process.returncode == 0 else process.stderr


class Handshakes:
    """A server that does a TLS handshake, keeps the first bytes of its client, and hangs up.

    Args:
        certificate: its certificate and key.
        before: its unencrypted answer to the first eight bytes of a client; None: encrypted from the start.
    """

    def __init__(self, certificate: tuple[Path, Path], before: bytes | None = None) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*certificate)
        self._before = before
        self._thread = Thread(target=self._serve)
        self.greetings: list[bytes] = []

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # Shut down: the test is over.
            with suppress(OSError), connection:
                if self._before is not None:
                    connection.recv(8)
                    connection.sendall(self._before)
                with self._context.wrap_socket(connection, server_side=True) as encrypted:
                    self.greetings += filter(None, [encrypted.recv(8)])  # Nothing: the client has hung up.


def test_a_job_runs_over_tls_and_flower_reads_the_queue(
    tls_redis: Callable[..., TlsRedis],
    authority: Authority,
    database_url: str,
    transactional_db: None,
    start_worker: Callable[..., WorkerProcess],
) -> None:
    url = f"rediss://localhost:{tls_redis().port}/0?ssl_cert_reqs=required&ssl_ca_certs={authority.certificate}"
    environment = {"DATABASE_URL": database_url, "CELERY_BROKER_URL": url}
    mapping = add_learners(3)
    worker = start_worker(environment)
    errors = {"s-9": "No user found with username nobody"}
    with redis.Redis.from_url(url) as client:
        client.lpush(TASKS, "no message", 5, b"\xff")
    with closing(Service(url)) as service:
        assert result_of(service.link(mapping | {"s-9": "nobody"})) == errors
        service.broker.wait_until_quiet()
        assert service.answers() == [errors]
    assert worker.log.read_text().count("is no message") == 3
    with FlowerServer(environment) as flower:
        wait_until(lambda: worker.hostname in flower.get("/api/workers?refresh=1").decode(), "Flower sees the worker")
        assert b'"name": "linking"' in flower.get("/api/queues/length")


@pytest.mark.parametrize(
    ("name", "options", "fault"),
    [
        ("localhost", "?ssl_cert_reqs=required&ssl_ca_certs={other}", "CERTIFICATE_VERIFY_FAILED"),
        ("localhost", "?ssl_ca_certs={other}", "CERTIFICATE_VERIFY_FAILED"),
        ("localhost", "", "CERTIFICATE_VERIFY_FAILED"),
        ("elsewhere.example", "?ssl_cert_reqs=required&ssl_ca_certs={authority}", "certificate is not valid for"),
        ("localhost", "?ssl_cert_reqs=required&ssl_ca_certs={authority}", None),
    ],
    ids=["another authority", "by default too", "no authority", "another host", "the right one"],
)
def test_redis_is_refused_unless_it_shows_the_right_certificate(
    tls_redis: Callable[..., TlsRedis], tmp_path: Path, name: str, options: str, fault: str | None
) -> None:
    server = tls_redis(name)
    other, authority = Authority(tmp_path / "other"), tmp_path / "authority" / "ca.pem"
    options = options.format(other=other.certificate, authority=authority)

    error = connect(CELERY_BROKER_URL=f"rediss://localhost:{server.port}/0{options}")

    assert fault in error if fault else not error


RABBITMQ = (None, CONNECT, {"CELERY_BROKER_URL": "amqps://localhost:{port}//", "SSL_CERT_FILE": "{ca}"})
POSTGRESQL = (
    b"S",
    CONNECT_TO_DATABASE,
    {"DATABASE_URL": "postgresql://linking@localhost:{port}/linking?sslmode=verify-full&sslrootcert={ca}"},
)
"""The server's answer in the clear, our program, and its environment."""


@pytest.mark.parametrize(
    ("server", "name", "trusts", "fault"),
    [
        (RABBITMQ, "localhost", "other", "CERTIFICATE_VERIFY_FAILED"),
        (RABBITMQ, "elsewhere.example", "authority", "certificate is not valid for"),
        (RABBITMQ, "localhost", "authority", None),
        (POSTGRESQL, "localhost", "other", "certificate verify failed"),
        (POSTGRESQL, "elsewhere.example", "authority", "does not match host name"),
        (POSTGRESQL, "localhost", "authority", None),
    ],
)
def test_rabbitmq_and_postgresql_are_refused_unless_they_show_the_right_certificate(
    authority: Authority,
    tmp_path: Path,
    *,
    server: tuple[bytes | None, str, dict[str, str]],
    name: str,
    trusts: str,
    fault: str | None,
) -> None:
    certificates = {"authority": authority.certificate, "other": Authority(tmp_path / "other").certificate}
    before, program, environment = server

    with Handshakes(authority.issue(name), before) as handshakes:
        values = {"port": handshakes.port, "ca": certificates[trusts]}
        error = connect(program, **{key: value.format(**values) for key, value in environment.items()})

    assert error, "a server that hangs up after the handshake is no error"
    assert (fault or "") in error
    assert bool(handshakes.greetings) == (fault is None)
    assert server is POSTGRESQL or set(handshakes.greetings) <= {b"AMQP\x00\x00\x09\x01"}
