"""What the tests of recovery share: a broker of their own, workers that a test may kill, a beat, and short waits."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devservers import RedisServer, WorkerProcess

if TYPE_CHECKING:
    from chaos.environment import Beat
    from tests.support.broker import Broker
    from tests.support.locks import RowLock
    from tests.support.service import Service

STALL_AFTER = 2
"""LINKING_STALL_AFTER of the workers, in seconds."""

StartWorker = Callable[..., WorkerProcess]


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis that a test may kill, and that the shared worker knows nothing of: it would take the messages."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def faults(tmp_path: Path) -> Path:
    """The folder of the injected faults."""
    folder = tmp_path / "faults"
    folder.mkdir()
    return folder


@pytest.fixture
def recovery_env(transactional_db: None, database_url: str, own_redis: RedisServer, faults: Path) -> dict[str, str]:
    """What workers, beat and commands have in their environment."""
    return {
        "DATABASE_URL": database_url,
        "CELERY_BROKER_URL": own_redis.url,
        "SECRET_KEY": "only-for-tests",
        "LINKING_STALL_AFTER": str(STALL_AFTER),
        "CHAOS_FAULTS": str(faults),
        "CHAOS_RECOVERY_INTERVAL": "1",
    }


@pytest.fixture
def hardy(recovery_env: Mapping[str, str]) -> Iterator[StartWorker]:
    """Start workers with fault injection: ``hardy(concurrency=2, modules=(), options=(), env={})``."""
    with ExitStack() as stack:

        def start(
            *,
            concurrency: int = 2,
            modules: Sequence[str] = (),
            options: Sequence[str] = (),
            env: Mapping[str, str] | None = None,
        ) -> WorkerProcess:
            included = ",".join(("chaos.injection", *modules))
            worker = WorkerProcess(
                {**recovery_env, **(env or {})},
                concurrency=concurrency,
                options=("-I", included, "--without-mingle", *options),
            )
            return stack.enter_context(worker)

        yield start


@pytest.fixture
def beat(recovery_env: Mapping[str, str]) -> Iterator["Beat"]:
    """A real beat, which looks for jobs that stand still every second."""
    from chaos.environment import Beat  # noqa: PLC0415 - it loads the app: Django is configured by now

    with Beat(recovery_env) as server:
        yield server


@pytest.fixture
def own_broker(recovery_env: Mapping[str, str]) -> Iterator["Broker"]:
    """The Redis of these tests, looked at directly."""
    from tests.support.broker import Broker  # noqa: PLC0415 - Django is configured by now

    broker = Broker(recovery_env["CELERY_BROKER_URL"])
    yield broker
    broker.close()


@pytest.fixture
def caller(own_broker: "Broker", recovery_env: Mapping[str, str]) -> Iterator["Service"]:
    """A service that asks for jobs and has answers sent to its queues."""
    from tests.support.service import Service  # noqa: PLC0415 - as above

    service = Service(own_broker, recovery_env["CELERY_BROKER_URL"])
    yield service
    service.close()


@pytest.fixture
def row_lock(database_url: str) -> Iterator[Callable[[str], "RowLock"]]:
    """Hold up whoever links a learner: ``row_lock(external_user_key)``."""
    from django.db import connection  # noqa: PLC0415 - Django is configured by now

    from tests.support.locks import RowLock  # noqa: PLC0415

    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one lock for everything: its workers cannot be held up at a row")
    with ExitStack() as stack:

        def take(key: str) -> RowLock:
            taken = RowLock(database_url, key)
            stack.callback(taken.release)
            return taken

        yield take
