"""Fixtures of the recovery tests: an own broker, workers with fault injection, a beat, and short intervals."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devservers import RedisServer, WorkerProcess
from tests.acceptance.conftest import service_on
from tests.support import programs
from tests.support.programs import Command

if TYPE_CHECKING:
    from chaos.environment import Beat
    from tests.support.service import Service

STALL_AFTER = 2
"""LINKING_STALL_AFTER of the workers, in seconds."""

StartWorker = Callable[..., WorkerProcess]


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis that a test may kill, and that the shared worker does not use."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def faults(tmp_path: Path) -> Path:
    """The folder of the injected faults."""
    folder = tmp_path / "faults"
    folder.mkdir()
    return folder


@pytest.fixture
def worker_env(transactional_db: None, database_url: str, own_redis: RedisServer, faults: Path) -> dict[str, str]:
    """The environment of workers, beat and commands."""
    return {
        "DATABASE_URL": database_url,
        "CELERY_BROKER_URL": own_redis.url,
        "SECRET_KEY": "only-for-tests",
        "LINKING_STALL_AFTER": str(STALL_AFTER),
        "CHAOS_FAULTS": str(faults),
        "CHAOS_RECOVERY_INTERVAL": "1",
    }


@pytest.fixture
def start_worker(start_worker: StartWorker) -> StartWorker:
    """Start workers with fault injection: ``start_worker(env=None, *, modules=(), concurrency=2)``."""

    def start(
        env: Mapping[str, str] | None = None, *, modules: Sequence[str] = (), concurrency: int = 2
    ) -> WorkerProcess:
        options = ("-I", ",".join(("chaos.injection", *modules)), "--without-mingle")
        return start_worker(env, concurrency=concurrency, options=options)

    return start


@pytest.fixture
def beat(worker_env: Mapping[str, str]) -> Iterator["Beat"]:
    """A beat that starts the recovery of stalled jobs every second."""
    from chaos.environment import Beat  # noqa: PLC0415 - it loads the app: Django is configured by now

    with Beat(worker_env) as server:
        yield server


@pytest.fixture
def caller(worker_env: Mapping[str, str]) -> Iterator["Service"]:
    """A service on the broker of these workers."""
    yield from service_on(worker_env["CELERY_BROKER_URL"])


@pytest.fixture
def manage(worker_env: Mapping[str, str]) -> Command:
    """Run ``manage.py linking_jobs …``."""
    return partial(programs.manage, "linking_jobs", env=worker_env)
