"""The private servers of the tests, each started when a test first needs it.

``--database`` chooses PostgreSQL, SQLite, MySQL or MariaDB.
Tests do not use the servers that the shell's environment names.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import django
import pytest
import redis as redis_client
from django.conf import settings
from django.db import connection

from devservers import MariaDBServer, MySQLServer, PostgresServer, RedisServer, Server, WorkerProcess
from tests.support.bare_service import BareService
from tests.support.locks import Lock, TakeLock

if TYPE_CHECKING:
    from pytest_django import DjangoDbBlocker

IDLE_TIMEOUT = 30.0
"""Seconds that the shared worker has to end the tasks of a test."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database",
        choices=["postgres", "sqlite", "mysql", "mariadb"],
        default="postgres",
        help="the database that integration and acceptance tests run on",
    )
    parser.addoption(
        "--collation", default="utf8mb4_unicode_ci", help="the collation of the test database, on MySQL and MariaDB"
    )
    parser.addoption("--lms", action="store_true", help="run with LINKING_LMS=1 on the tables of an LMS, not on SQLite")


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # Started in the background by a shell.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in [*os.environ]:
        if name.endswith("_WORLDS"):
            continue  # The number of random worlds of a property test.
        if name.startswith(("LINKING_", "CELERY_")) or name == "DEBUG":
            del os.environ[name]  # Tests use the defaults.
    os.environ["DJANGO_SETTINGS_MODULE"] = "worker.settings"
    os.environ["SECRET_KEY"] = "only-for-tests"
    # Enough for Django to choose the backend; the fixture below sets the address, once there is a server.
    os.environ["DATABASE_URL"] = {
        "postgres": "postgresql://postgres@/postgres",
        "sqlite": "sqlite:///not-used.sqlite3",
        "mysql": "mysql://root@127.0.0.1/linking",
        "mariadb": "mysql://root@127.0.0.1/linking",
    }[config.getoption("database")]
    if config.getoption("lms"):
        if config.getoption("database") == "sqlite":
            msg = "--lms needs a server: --database=mysql, mariadb or postgres"
            raise pytest.UsageError(msg)
        os.environ["LINKING_LMS"] = "1"  # Of the workers as well.
    django.setup()
    if config.getoption("lms"):
        from tests.support.lms.session import prepare_session  # noqa: PLC0415 - Django is configured by now

        prepare_session()


# --- Database ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A private PostgreSQL, one for each process that runs tests."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def mysql_server(pytestconfig: pytest.Config) -> Iterator[MySQLServer]:
    """A private MySQL or MariaDB, one for each process that runs tests."""
    kind = MariaDBServer if pytestconfig.getoption("database") == "mariadb" else MySQLServer
    if not kind.is_installed():
        missing = f"there is no {kind.program[0]}: {kind.package}"
        if os.environ.get("TESTS_MUST_NOT_SKIP"):
            pytest.fail(missing)
        pytest.skip(missing)
    with kind() as server:
        yield server


@pytest.fixture(scope="session")
def mysql_url(request: pytest.FixtureRequest) -> str:
    """The address of a private MariaDB, or of the MySQL of ``TESTS_MYSQL_URL``, or of a private one."""
    given = os.environ.get("TESTS_MYSQL_URL")
    if given and request.config.getoption("database") == "mysql":
        return given
    server: MySQLServer = request.getfixturevalue("mysql_server")
    return server.url


@pytest.fixture(scope="session")
def database_server(request: pytest.FixtureRequest) -> Server:
    """The private server of the database, which a test may restart."""
    name = request.config.getoption("database")
    if name == "mysql" and os.environ.get("TESTS_MYSQL_URL"):
        pytest.skip("others use the server of TESTS_MYSQL_URL: it is not restarted")
    server: Server = request.getfixturevalue("postgres_server" if name == "postgres" else "mysql_server")
    return server


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    django_db_modify_db_settings_parallel_suffix: None,
) -> None:
    """Set the address of the database, just before pytest-django creates the test database."""
    database = settings.DATABASES["default"]
    name = request.config.getoption("database")
    if name == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        database.setdefault("OPTIONS", {})["host"] = str(server.folder)
    elif name in {"mysql", "mariadb"}:
        address = urlsplit(request.getfixturevalue("mysql_url"))
        database |= {"HOST": address.hostname, "PORT": address.port, "USER": address.username}
        database["OPTIONS"]["init_command"] += ", wait_timeout = 600"  # Tests wait for other things in between.
        collation = request.config.getoption("collation")
        database["TEST"] |= {"NAME": f"test_{os.getpid()}", "CHARSET": "utf8mb4", "COLLATION": collation}
    else:
        # A file, not memory: workers are processes of their own.
        database.setdefault("TEST", {})["NAME"] = str(tmp_path_factory.mktemp("sqlite") / "test.sqlite3")


@pytest.fixture(autouse=True)
def _empty_lms(pytestconfig: pytest.Config, django_db_blocker: "DjangoDbBlocker") -> Iterator[None]:
    """Delete the rows that a test has committed to the LMS's tables; ``flush`` leaves these alone."""
    yield
    if pytestconfig.getoption("lms") and connection.settings_dict["NAME"].startswith("test_"):
        from tests.support.lms.database import clear_tables  # noqa: PLC0415 - Django is configured by now

        with django_db_blocker.unblock():
            clear_tables()


@pytest.fixture(scope="session")
def database_url(django_db_setup: None) -> str:
    """The ``DATABASE_URL`` of the test database, for other processes."""
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{database['NAME']}"
    if connection.vendor == "mysql":
        return f"mysql://{database['USER']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
    return f"postgresql://{database['USER']}@/{database['NAME']}?host={database['OPTIONS']['host']}"


@pytest.fixture
def lock(transactional_db: None) -> Iterator[TakeLock]:
    """Take a lock in the database that blocks workers: ``lock(sql)``."""
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one lock for everything: its workers cannot be blocked at a row")
    with ExitStack() as stack:

        def take(sql: str) -> Lock:
            taken = Lock(sql)
            stack.callback(taken.release)
            return taken

        yield take


@pytest.fixture
def row_lock(lock: TakeLock) -> TakeLock:
    """Block workers at a learner: ``row_lock(external_user_key)``."""
    table = "program_enrollments_programenrollment"
    return lambda key: lock(f"SELECT * FROM {table} WHERE external_user_key = '{key}' FOR UPDATE")  # noqa: S608


# --- Broker and workers -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="session", autouse=True)
def redis_server() -> Iterator[RedisServer]:
    """A private Redis; our own Celery app uses it too, from its first message on: it keeps its connections."""
    with RedisServer() as server:
        os.environ["CELERY_BROKER_URL"] = server.url  # Celery reads it whenever it connects.
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> Iterator[str]:
    """The ``CELERY_BROKER_URL`` of an empty private Redis."""
    if not redis_server.is_running:
        redis_server.start()
    _flush(redis_server.url)
    yield redis_server.url
    if redis_server.is_running:
        _flush(redis_server.url)


@pytest.fixture
def worker_env(transactional_db: None, database_url: str, redis_url: str) -> dict[str, str]:
    """The environment of a worker on the private Redis and the test database, where tests commit."""
    return {"DATABASE_URL": database_url, "CELERY_BROKER_URL": redis_url}


@pytest.fixture
def start_worker(worker_env: Mapping[str, str]) -> Iterator[Callable[..., WorkerProcess]]:
    """Start real workers that a test may kill: ``start_worker(env=None, *, concurrency=2, options=())``."""
    with ExitStack() as stack:

        def start(
            env: Mapping[str, str] | None = None, *, concurrency: int = 2, options: Sequence[str] = ()
        ) -> WorkerProcess:
            worker = WorkerProcess({**worker_env, **(env or {})}, concurrency=concurrency, options=options)
            return stack.enter_context(worker)

        yield start


_shared_workers: list[WorkerProcess] = []


@pytest.fixture
def redis_without_worker(redis_url: str) -> str:
    """The empty private Redis while no worker runs; the next test that needs the shared worker starts it again."""
    for worker in _shared_workers:
        worker.kill()
    return redis_url


@pytest.fixture(scope="session")
def _shared_worker(database_url: str, redis_server: RedisServer) -> Iterator[WorkerProcess]:
    with WorkerProcess({"DATABASE_URL": database_url, "CELERY_BROKER_URL": redis_server.url}) as worker:
        _shared_workers.append(worker)
        yield worker
        worker.stop()  # Gently: coverage is written on the way out.


@pytest.fixture
def celery_worker_process(worker_env: Mapping[str, str], _shared_worker: WorkerProcess) -> Iterator[WorkerProcess]:
    """A worker with two pool children, idle before and after each test; tests that kill workers start their own."""
    worker = _shared_worker
    if not worker.is_running:
        worker.start()
    yield worker
    deadline = time.monotonic() + IDLE_TIMEOUT
    _flush(worker_env["CELERY_BROKER_URL"])
    while worker.is_running and not worker.is_idle():
        if time.monotonic() > deadline:
            worker.kill()
        _flush(worker_env["CELERY_BROKER_URL"])  # Messages of the running tasks.


@pytest.fixture
def bare_service(tmp_path: Path, redis_url: str) -> Iterator[BareService]:
    """A service that shares only the broker with us."""
    with closing(BareService(tmp_path, redis_url)) as service:
        yield service


def _flush(url: str) -> None:
    with redis_client.Redis.from_url(url) as client:
        client.flushall()
