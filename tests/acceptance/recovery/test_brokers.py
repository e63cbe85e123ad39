"""Redis behind Sentinels, as a cluster, and behind a network that swallows everything."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping

import pytest
import redis
from celery import Celery

from chaos.environment import Beat, Worker
from devservers import RedisServer, WorkerProcess
from devservers.server import ServerError
from tests.acceptance.recovery.conftest import StartWorker
from tests.support.populations import add_learners
from tests.support.proxy import proxy_of
from tests.support.redis_servers import MASTER, ClusterNode, Replica, Sentinel
from tests.support.sent_jobs import send_job
from tests.support.service import Service, result_of
from tests.support.waiting import wait_until
from worker.models import JobSlice, LinkingJob

PASSWORD = "of-the-sentinels"
MOST_SECONDS = 40
"""Most seconds that a command may take to find out that the broker does not answer."""


@pytest.fixture
def replicated(own_redis: RedisServer) -> Iterator[Sentinel]:
    """A Sentinel of a master with one replica, which has the master's data."""
    with Replica(own_redis) as replica, Sentinel(own_redis, PASSWORD) as sentinel:
        with redis.Redis(port=replica.port) as client:
            wait_until(lambda: client.info("replication")["master_link_status"] == "up", "the replica follows")
        with redis.Redis(port=sentinel.port, password=PASSWORD) as client:
            wait_until(lambda: client.sentinel_master(MASTER)["num-slaves"] == 1, "the Sentinel knows it", timeout=90)
        yield sentinel


def test_a_job_goes_on_when_the_master_is_killed_and_a_replica_promoted(
    worker_env: dict[str, str], own_redis: RedisServer, replicated: Sentinel, caller: Service
) -> None:
    env = {
        **worker_env,
        "CELERY_BROKER_URL": replicated.url,
        "CELERY_RESULT_BACKEND": replicated.url,
        "LINKING_SENTINEL_MASTER": MASTER,
        "LINKING_SENTINEL_PASSWORD": PASSWORD,
    }
    with Worker(env) as worker, Beat(env) as beat:
        job = send_job(caller, 400, learners_per_subtask=2)
        wait_until(lambda: JobSlice.objects.exclude(finished=None).count() >= 5, "slices are done")
        assert JobSlice.objects.filter(finished=None).exists()

        own_redis.kill()
        with redis.Redis(port=replicated.port, password=PASSWORD) as client:
            address = client.sentinel_get_master_addr_by_name
            wait_until(lambda: address(MASTER)[1] != own_redis.port, "the replica is promoted")

        def has_ended() -> bool:
            if not beat.is_running:
                beat.start()  # As a supervisor would.
            return LinkingJob.objects.exclude(notified=None).exists()

        wait_until(has_ended, "the job ends", timeout=90)
        assert worker.is_running
        with Celery(backend=replicated.url, set_as_current=False) as client:  # A caller that uses get().
            client.conf.result_backend_transport_options = {
                "master_name": MASTER,
                "sentinel_kwargs": {"password": PASSWORD},
            }
            assert client.AsyncResult(job.task_id).get(timeout=30) == job.errors
    assert sum(LinkingJob.objects.get().counts.values()) == len(job.mapping)


def test_a_node_of_a_cluster_is_refused_with_the_remedy(worker_env: Mapping[str, str]) -> None:
    with ClusterNode() as node:
        with redis.Redis(port=node.port) as client:
            client.execute_command("CLUSTER", "ADDSLOTS", *range(16_384))
            # Until then it refuses all commands, that of the check included.
            wait_until(lambda: client.cluster("info")["cluster_state"] == "ok", "the cluster is up")
        with (
            pytest.raises(ServerError) as fault,
            WorkerProcess({**worker_env, "CELERY_BROKER_URL": node.url}, options=("--without-mingle",)),
        ):
            pass
    assert "CELERY_BROKER_URL is a node of a Redis Cluster" in str(fault.value)
    assert "Sentinels (sentinel://…, LINKING_SENTINEL_MASTER), or RabbitMQ" in str(fault.value)


SEND = """
import django, sys, time
django.setup()
from worker.celery import app
began = time.monotonic()
send = lambda: app.send_task("linking.link_program_enrollments", ("nonsense", {}))
send()
sys.stdout.write("sent\\n"); sys.stdout.flush()
sys.stdin.readline()
began = time.monotonic()
try:
    send()
except Exception as error:
    print(type(error).__name__, round(time.monotonic() - began))
"""


def test_a_message_to_a_broker_that_swallows_everything_fails_in_time_and_a_worker_connects_again(
    worker_env: dict[str, str], start_worker: StartWorker, own_redis: RedisServer, caller: Service
) -> None:
    with proxy_of(own_redis.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}/0"
        env = {**os.environ, **worker_env, "CELERY_BROKER_URL": url, "DJANGO_SETTINGS_MODULE": "worker.settings"}
        worker = start_worker({"CELERY_BROKER_URL": url})
        assert result_of(caller.link(add_learners(1))) == {}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen([sys.executable, "-c", SEND], env=env, **pipes) as process:  # type: ignore[call-overload]
            assert process.stdout.readline() == "sent\n"
            proxy.swallows.set()
            began = time.monotonic()
            output, errors = process.communicate("\n", timeout=120)

        assert output.split()[:1] == ["OperationalError"], errors
        assert time.monotonic() - began < MOST_SECONDS, output
        proxy.swallows.clear()  # Connections of before stay as they are: what they had is lost.
        assert result_of(caller.link(add_learners(1))) == {}
        assert worker.is_running
