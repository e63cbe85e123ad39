"""Fixtures of the acceptance tests: services that use workers, and a Flower."""

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from devservers import FlowerServer, RedisServer, WorkerProcess
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.support.service import Service


@pytest.fixture
def service(worker_env: dict[str, str], celery_worker_process: WorkerProcess) -> Iterator["Service"]:
    """A service whose tasks the shared worker runs."""
    assert celery_worker_process.is_running
    yield from service_on(worker_env["CELERY_BROKER_URL"])


@pytest.fixture
def isolated_env(worker_env: dict[str, str]) -> dict[str, str]:
    """The environment of a worker with a broker of its own: another database of the same Redis."""
    return worker_env | {"CELERY_BROKER_URL": worker_env["CELERY_BROKER_URL"].removesuffix("/0") + "/1"}


@pytest.fixture
def isolated_service(isolated_env: dict[str, str]) -> Iterator["Service"]:
    """A service whose tasks only workers with ``isolated_env`` run."""
    yield from service_on(isolated_env["CELERY_BROKER_URL"])


def service_on(url: str) -> Iterator["Service"]:
    """Yield a service on a broker."""
    from tests.support.service import Service  # noqa: PLC0415 - Django is configured by now

    with closing(Service(url)) as service:
        yield service


@pytest.fixture(scope="session")
def _shared_flower(database_url: str, redis_server: RedisServer) -> Iterator[FlowerServer]:
    with FlowerServer({"DATABASE_URL": database_url, "CELERY_BROKER_URL": redis_server.url}) as server:
        yield server


@pytest.fixture
def flower_without_worker(_shared_flower: FlowerServer, redis_without_worker: str) -> FlowerServer:
    """A Flower on the broker of the tests while no worker runs."""
    assert redis_without_worker
    return _shared_flower


@pytest.fixture
def flower(_shared_flower: FlowerServer, celery_worker_process: WorkerProcess) -> FlowerServer:
    """A Flower that receives the events of the shared worker."""
    online = f'flower_worker_online{{worker="{celery_worker_process.hostname}"}} 1.0'
    wait_until(lambda: online in _shared_flower.get("/metrics").decode(), "Flower sees the worker")
    return _shared_flower
