"""Valkey 9 as broker and result backend, by its own scheme."""

from pathlib import Path

import pytest
import redis
from celery import Celery
from pytest_docker_tools import container
from pytest_docker_tools.wrappers import Container

from devservers import WorkerProcess
from tests.smoke.conftest import LOCALLY
from tests.support.ids import PROGRAM
from tests.support.populations import add_learners
from tests.support.service import LINK
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

valkey = container(scope="session", image="valkey/valkey:9", ports={"6379/tcp": LOCALLY}, timeout=60)


class ValkeyWorker(WorkerProcess):
    """A worker that is ready when its log says so: our private client of workers knows Redis' scheme only."""

    def answers(self) -> bool:
        return " ready." in Path(self.log).read_text()


def test_a_job_is_linked_and_its_result_fetched_on_valkey(
    valkey: Container, database_url: str, transactional_db: None
) -> None:
    address = f"127.0.0.1:{valkey.ports['6379/tcp'][0]}"
    with redis.Redis.from_url(f"redis://{address}/0") as client:
        wait_until(client.ping, "Valkey answers")
        assert client.info("server")["server_name"] == "valkey"
    url = f"valkey://{address}/0"
    env = {"CELERY_BROKER_URL": url, "CELERY_RESULT_BACKEND": f"valkey://{address}/1", "DATABASE_URL": database_url}
    redis_url = f"redis://{address}"
    with (
        ValkeyWorker(env),
        Celery(broker=f"{redis_url}/0", backend=f"{redis_url}/1", set_as_current=False) as app,
    ):
        sent = app.send_task(LINK, (str(PROGRAM), add_learners(30)), queue="linking")
        assert sent.get(timeout=60) == {}
