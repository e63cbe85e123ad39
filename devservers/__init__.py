"""Private servers for the demo, the tests and the benchmarks: PostgreSQL, Redis, real workers, beat, Flower, the pages.

PostgreSQL and Redis come from wheels, so that nothing needs to be installed beside Python. Each lives in a temporary
folder and ends with the process that started it (:mod:`devservers.process_guard`). Nothing in production imports this.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from devservers.broker import RedisServer
from devservers.flower import FlowerServer
from devservers.postgresql import PostgresServer
from devservers.server import Server, ServerError
from devservers.web import Beat, WebServer
from devservers.worker import WorkerProcess

__all__ = (
    "Beat",
    "FlowerServer",
    "PostgresServer",
    "RedisServer",
    "Server",
    "ServerError",
    "WebServer",
    "WorkerProcess",
    "postgres",
    "redis",
    "worker_process",
)


@contextmanager
def postgres(settings: Mapping[str, str] | None = None, *, from_environment: bool = False) -> Iterator[str]:
    """Run a private PostgreSQL.

    Args:
        settings: PostgreSQL's own settings, by name.
        from_environment: use the server that ``DATABASE_URL`` names instead, where it does.

    Yields:
        The ``DATABASE_URL``.
    """
    if from_environment and (url := os.environ.get("DATABASE_URL")):
        yield url
        return
    with PostgresServer(settings) as server:
        yield server.url


@contextmanager
def redis(*, from_environment: bool = False) -> Iterator[str]:
    """Run a private Redis.

    Args:
        from_environment: use the broker that ``CELERY_BROKER_URL`` names instead, where it does.

    Yields:
        The ``CELERY_BROKER_URL``.
    """
    if from_environment and (url := os.environ.get("CELERY_BROKER_URL")):
        yield url
        return
    with RedisServer() as server:
        yield server.url


@contextmanager
def worker_process(
    env: Mapping[str, str], *, concurrency: int = 2, options: Sequence[str] = ()
) -> Iterator[WorkerProcess]:
    """Run a :class:`WorkerProcess`, which finishes its tasks when the block ends well and is killed else."""
    with WorkerProcess(env, concurrency=concurrency, options=options) as worker:
        yield worker
        worker.stop()
