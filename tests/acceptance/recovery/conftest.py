"""Fixtures of the recovery tests: an own broker, workers that a test may kill, a beat, and short intervals."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devservers import RedisServer, WorkerProcess
from tests.acceptance.conftest import service_on

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
def recovery_env(transactional_db: None, database_url: str, own_redis: RedisServer, faults: Path) -> dict[str, str]:
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
def start_worker(recovery_env: Mapping[str, str]) -> Iterator[StartWorker]:
    """Start workers with fault injection: ``start_worker(concurrency=2, modules=(), options=(), env={})``."""
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
    """A real beat, which starts the recovery of stalled jobs every second."""
    from chaos.environment import Beat  # noqa: PLC0415 - it loads the app: Django is configured by now

    with Beat(recovery_env) as server:
        yield server


@pytest.fixture
def caller(recovery_env: Mapping[str, str]) -> Iterator["Service"]:
    """A service that sends jobs and has their results sent to its queues."""
    yield from service_on(recovery_env["CELERY_BROKER_URL"])
