"""Connections to the broker by TLS: encrypted, and only to a server that shows the right certificate."""

import os
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Thread

import pytest
import redis

from tests.acceptance.broker import Broker, wait_until
from tests.acceptance.certificates import Authority
from tests.acceptance.service import Service, result_of
from tests.populations import waiting
from worker.embedded import FlowerServer, Server, WorkerProcess
from worker.embedded.brokers import free_port
from worker.embedded.workers import ROOT

CONNECT = "from worker.celery import app; app.connection_for_write().ensure_connection(max_retries=1, interval_start=0)"
"""What workers, beat, Flower and commands do when they start."""


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


def connect(broker: str, **environment: str) -> str:
    """Connect to a broker with our configuration; return what is said against it, nothing where it works."""
    env = {"PATH": os.environ["PATH"], "DEBUG": "1", "CELERY_BROKER_URL": broker, **environment}
    run = subprocess.run(
        [sys.executable, "-c", CONNECT], cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=60
    )
    return "" if run.returncode == 0 else run.stderr


def test_a_job_runs_over_tls_and_flower_reads_the_queue(
    tls_redis: Callable[..., TlsRedis],
    authority: Authority,
    database_url: str,
    transactional_db: None,
    start_worker: Callable[..., WorkerProcess],
) -> None:
    url = f"rediss://localhost:{tls_redis().port}/0?ssl_cert_reqs=required&ssl_ca_certs={authority.certificate}"
    environment = {"DATABASE_URL": database_url, "CELERY_BROKER_URL": url}
    mapping = waiting(3)
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

    said = connect(f"rediss://localhost:{server.port}/0{options}")

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
    other = Authority(tmp_path / "other")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(name))
    greetings: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # Closed: the test is over.
            try:
                with context.wrap_socket(connection, server_side=True) as encrypted:
                    greetings.append(encrypted.recv(8))
            except OSError:
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve)
        thread.start()
        authorities = {"authority": authority, "other": other}[trusts].certificate
        port = listener.getsockname()[1]
        said = connect(f"amqps://localhost:{port}//", SSL_CERT_FILE=str(authorities))
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()

    if fault:
        assert fault in said
        assert not greetings
    else:
        assert "CERTIFICATE_VERIFY_FAILED" not in said
        assert set(greetings) == {b"AMQP\x00\x00\x09\x01"}
