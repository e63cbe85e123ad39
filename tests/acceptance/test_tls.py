"""Connections by TLS, to Redis, RabbitMQ and PostgreSQL: only to a server that shows the right certificate."""

import os
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Self

import pytest
import redis

from devservers import FlowerServer, Server, WorkerProcess
from devservers.application import ROOT
from devservers.broker import free_port
from tests.support.broker import Broker
from tests.support.certificates import Authority
from tests.support.populations import add_learners
from tests.support.service import Service, result_of
from tests.support.waiting import wait_until

CONNECT = "from worker.celery import app; app.connection_for_write().ensure_connection(max_retries=1, interval_start=0)"
"""What workers, beat, Flower and commands do when they start."""
CONNECT_TO_DATABASE = "import django; django.setup(); django.db.connection.ensure_connection()"


class TlsRedis(Server):
    """A Redis that speaks TLS and nothing else: the system's own, since that of the wheel cannot.

    Args:
        program: ``redis-server``.
        authority: issues its certificate.
        name: whose certificate it shows.
    """

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
    servers: list[TlsRedis] = []

    def start(name: str = "localhost") -> TlsRedis:
        servers.append(TlsRedis(program, authority, name))
        return servers[-1].__enter__()

    yield start
    for server in servers:
        server.__exit__(None, None, None)


def connect(program: str = CONNECT, **environment: str) -> str:
    """Connect with our configuration; return what is said against it, nothing where it works."""
    env = {"PATH": os.environ["PATH"], "DEBUG": "1", "DJANGO_SETTINGS_MODULE": "worker.settings", **environment}
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=60
    )
    return "" if run.returncode == 0 else run.stderr


class Handshakes:
    """A server that does a TLS handshake, notes what its client says first, and hangs up.

    Args:
        certificate: what it shows, and its key.
        before: what it answers, in the clear, to the first eight bytes of a client; None: encrypted from the start.
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
    broker = Broker(url.partition("?")[0] + f"?ssl_ca_certs={authority.certificate}")
    service = Service(broker, url)

    job_id = service.link(mapping | {"s-9": "nobody"})

    errors = {"s-9": "No user found with username nobody"}
    assert result_of(job_id) == errors
    broker.wait_until_quiet()
    assert service.answers() == [errors]
    with FlowerServer(environment) as flower:
        wait_until(lambda: worker.hostname in flower.get("/api/workers?refresh=1").decode(), "Flower sees the worker")
        assert b'"name": "celery"' in flower.get("/api/queues/length")
    service.close()
    broker.close()


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

    said = connect(CELERY_BROKER_URL=f"rediss://localhost:{server.port}/0{options}")

    assert fault in said if fault else not said


@pytest.mark.parametrize(
    ("name", "trusts", "fault"),
    [
        ("localhost", "other", "CERTIFICATE_VERIFY_FAILED"),
        ("elsewhere.example", "authority", "certificate is not valid for"),
        ("localhost", "authority", None),
    ],
    ids=["another authority", "another host", "the right one"],
)
def test_rabbitmq_is_refused_unless_it_shows_the_right_certificate(
    authority: Authority, tmp_path: Path, name: str, trusts: str, fault: str | None
) -> None:
    authorities = {"authority": authority, "other": Authority(tmp_path / "other")}

    with Handshakes(authority.issue(name)) as server:
        url = f"amqps://localhost:{server.port}//"
        said = connect(CELERY_BROKER_URL=url, SSL_CERT_FILE=str(authorities[trusts].certificate))

    assert said, "nobody is told that there is no RabbitMQ"
    assert (fault or "") in said
    assert set(server.greetings) == (set() if fault else {b"AMQP\x00\x00\x09\x01"})


@pytest.mark.parametrize(
    ("name", "trusts", "fault"),
    [
        ("localhost", "other", "certificate verify failed"),
        ("elsewhere.example", "authority", "does not match host name"),
        ("localhost", "authority", None),
    ],
    ids=["another authority", "another host", "the right one"],
)
def test_postgresql_is_refused_unless_it_shows_the_right_certificate(
    authority: Authority, tmp_path: Path, name: str, trusts: str, fault: str | None
) -> None:
    authorities = {"authority": authority, "other": Authority(tmp_path / "other")}

    with Handshakes(authority.issue(name), before=b"S") as server:
        options = f"sslmode=verify-full&sslrootcert={authorities[trusts].certificate}"
        url = f"postgresql://linking@localhost:{server.port}/linking?{options}"
        said = connect(CONNECT_TO_DATABASE, DATABASE_URL=url)

    assert said, "nobody is told that there is no PostgreSQL"
    assert (fault or "") in said
    assert bool(server.greetings) == (fault is None)
