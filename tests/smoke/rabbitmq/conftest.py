"""RabbitMQ 4 in a container, and workers on this machine with quorum queues."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from functools import partial
from typing import TYPE_CHECKING

import pytest
from pytest_docker_tools import container
from pytest_docker_tools.wrappers import Container

from devservers import WorkerProcess
from tests.smoke.conftest import LOCALLY
from tests.smoke.rabbitmq.server import connect, is_up
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.smoke.rabbitmq.caller import QuorumCaller

QUEUES = ("linking", "linking.bulk", "linking.recovery", "linking.events")
StartWorker = Callable[..., WorkerProcess]
rabbitmq4 = container(
    scope="session",
    image="rabbitmq:4",
    ports={"5672/tcp": LOCALLY},
    tmpfs={"/var/lib/rabbitmq": "uid=999,gid=999,mode=700"},
    timeout=120,
)


@pytest.fixture
def address(rabbitmq4: Container) -> Iterator[str]:
    """Host and port of a RabbitMQ without queues."""
    found = f"127.0.0.1:{rabbitmq4.ports['5672/tcp'][0]}"

    wait_until(partial(is_up, found), "RabbitMQ answers", timeout=60)
    yield found
    with closing(connect(found)) as connection:
        for name in (*QUEUES, "linking.dead", "answers", "failures", "celery", "service", "enrollment"):
            connection.channel().queue_delete(name)


@pytest.fixture
def env(address: str, database_url: str, transactional_db: None) -> dict[str, str]:
    return {
        "CELERY_BROKER_URL": f"amqp://guest:guest@{address}//",
        "DATABASE_URL": database_url,
        "LINKING_QUEUE_TYPE": "quorum",
        "LINKING_STALL_AFTER": "2",
    }


@pytest.fixture
def start(env: Mapping[str, str]) -> Iterator[StartWorker]:
    """Start a worker with two children."""
    with ExitStack() as stack:
        yield lambda **more: stack.enter_context(WorkerProcess({**env, **more}))


@pytest.fixture
def caller(env: Mapping[str, str]) -> Iterator["QuorumCaller"]:
    from tests.smoke.rabbitmq.caller import QuorumCaller  # noqa: PLC0415 - Django is configured by now

    with closing(QuorumCaller(env["CELERY_BROKER_URL"])) as service:
        yield service
