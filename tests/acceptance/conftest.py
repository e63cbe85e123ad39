"""What acceptance tests share: the broker seen from outside, and a service that uses the worker."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from worker.embedded import WorkerProcess

if TYPE_CHECKING:
    from tests.acceptance.broker import Broker
    from tests.acceptance.service import Service


@pytest.fixture
def broker(worker_env: dict[str, str]) -> Iterator["Broker"]:
    """The private Redis, looked at directly."""
    from tests.acceptance.broker import Broker  # noqa: PLC0415 - Django is configured by now

    broker = Broker(worker_env["CELERY_BROKER_URL"])
    yield broker
    broker.close()


@pytest.fixture
def lonely_service(broker: "Broker", worker_env: dict[str, str]) -> Iterator["Service"]:
    """A service that sends its tasks while no worker need run."""
    from tests.acceptance.service import Service  # noqa: PLC0415 - Django is configured by now

    service = Service(broker, worker_env["CELERY_BROKER_URL"])
    yield service
    service.close()


@pytest.fixture
def service(lonely_service: "Service", celery_worker_process: WorkerProcess) -> "Service":
    """A service whose tasks the shared worker runs."""
    return lonely_service
