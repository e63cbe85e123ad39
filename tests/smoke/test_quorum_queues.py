"""RabbitMQ 4 with quorum queues: workers on this machine, RabbitMQ and PostgreSQL in containers."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from functools import partial
from typing import Any

import docker
import pytest
from amqp import Connection, Message
from pytest_docker_tools import container
from pytest_docker_tools.wrappers import Container

from devservers import WorkerProcess
from devservers.broker import free_port
from devservers.server import ServerError
from tests.smoke.conftest import LOCALLY
from tests.smoke.test_workers import Caller
from tests.support.locks import TakeLock
from tests.support.populations import add_learners
from tests.support.programs import manage
from tests.support.service import FAILURES, LINK, result_of
from tests.support.waiting import wait_until
from worker.models import JobSlice, LinkingJob

pytestmark = pytest.mark.django_db(transaction=True)

DELIVERY_LIMIT = 20
FROZEN = float(os.environ.get("FROZEN_SECONDS", "10"))
"""Seconds for which PostgreSQL is frozen."""
QUEUES = ("linking", "linking.bulk", "linking.recovery", "linking.events")
ROUND = 300
"""Learners of a job in the middle of which servers are killed."""
RECOVERY = "linking.resume_stalled_jobs"
rabbitmq4 = container(
    scope="session",
    image="rabbitmq:4",
    ports={"5672/tcp": LOCALLY},
    tmpfs={"/var/lib/rabbitmq": "uid=999,gid=999,mode=700"},
    timeout=120,
)
StartWorker = Callable[..., WorkerProcess]


class QuorumCaller(Caller):
    """A service that sends to an exchange: it cannot declare our queues."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._app.conf.task_default_queue = "service"  # Celery declares it at each message.

    def close(self) -> None:
        """Disconnect; its queues are deleted with the others."""
        self._app.close()

    def send(self, task: str, *args: Any, **options: Any) -> str:
        return super().send(task, *args, **{"exchange": "linking", "routing_key": "linking"} | options)


@pytest.fixture
def address(rabbitmq4: Container) -> Iterator[str]:
    """Host and port of a RabbitMQ without queues."""
    found = f"127.0.0.1:{rabbitmq4.ports['5672/tcp'][0]}"

    wait_until(partial(is_up, found), "RabbitMQ answers", timeout=60)
    yield found
    with closing(connect(found)) as connection:
        for name in (*QUEUES, "linking.dead", "answers", "failures", "celery", "service"):
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
def caller(env: Mapping[str, str]) -> Iterator[QuorumCaller]:
    with closing(QuorumCaller(env["CELERY_BROKER_URL"])) as service:
        yield service


def is_up(address: str) -> bool:
    try:
        connect(address).close()
    except OSError:
        return False
    return True


def connect(address: str) -> Connection:
    connection = Connection(address, connect_timeout=5)
    connection.connect()
    return connection


def length(address: str, queue: str) -> int:
    with closing(connect(address)) as connection:
        declared: Any = connection.channel().queue_declare(queue, passive=True)
        return int(declared.message_count)


def test_small_jobs_pass_large_ones_and_two_callers_that_wait_for_a_result(
    start: StartWorker, caller: QuorumCaller, lock: TakeLock
) -> None:
    start()
    waited = add_learners(3)
    held = lock("SELECT * FROM program_enrollments_programenrollment WHERE external_user_key = 's-0' FOR UPDATE")
    first = caller.link(waited, idempotency_key="held")
    held.wait_for_blocked(1)
    waiters = [caller.link(waited, idempotency_key="held") for _ in range(4)]  # More than the worker has children.
    wait_until(lambda: waits(waiters) == 4, "they wait")

    took = []
    for _ in range(5):
        began = time.monotonic()
        assert result_of(caller.link(add_learners(1))) == {}
        took.append(time.monotonic() - began)

    held.release()
    assert [result_of(task) for task in (first, *waiters)] == [{}] * 5
    assert sorted(took)[2] < 1, took


def waits(tasks: list[str]) -> int:
    from django_celery_results.models import TaskResult  # noqa: PLC0415 - Django is configured by now

    return TaskResult.objects.filter(task_id__in=tasks, status="RETRY").count()


def test_no_request_is_lost_and_no_delivery_counted_while_postgresql_is_away(
    start: StartWorker, caller: QuorumCaller, address: str, postgres: Container
) -> None:
    worker = start()
    mappings = [add_learners(2) for _ in range(6)]
    engine = docker.from_env()
    frozen = engine.containers.get(postgres.id)
    frozen.pause()
    try:
        sent = [caller.link(mapping) for mapping in mappings]
        time.sleep(FROZEN)
    finally:
        frozen.unpause()
        engine.close()

    assert [result_of(task) for task in sent] == [{}] * len(sent)
    assert length(address, "linking.dead") == 0
    assert LinkingJob.objects.count() == len(sent)
    log = worker.log.read_text()
    assert [log.count(f"{LINK}[{task}] received") for task in sent] == [1] * len(sent)


def test_a_message_that_is_returned_too_often_is_kept_as_a_dead_letter_and_can_be_sent_again(
    start: StartWorker, caller: QuorumCaller, address: str, env: dict[str, str]
) -> None:
    start().stop()  # The queues are declared.
    task = caller.link(add_learners(2))
    with closing(connect(address)) as connection:
        channel = connection.channel()
        for _ in range(DELIVERY_LIMIT + 1):
            wait_until(partial(return_message, channel), "the message is there")
    wait_until(lambda: length(address, "linking.dead") == 1, "it is a dead letter")

    listed = manage("dead_letters", env=env)
    assert task in listed.stdout, listed.stderr
    assert "s-0" not in listed.stdout
    start()
    again = manage("dead_letters", "--resend", env=env)

    assert again.returncode == 0, again.stderr
    assert result_of(task) == {}
    assert length(address, "linking.dead") == 0


def test_a_job_ends_though_rabbitmq_and_a_worker_are_killed(
    docker_client: docker.DockerClient, database_url: str, transactional_db: None
) -> None:
    port = free_port()
    broker = docker_client.containers.run("rabbitmq:4", detach=True, ports={"5672/tcp": ("127.0.0.1", port)})
    try:
        wait_until(partial(is_up, f"127.0.0.1:{port}"), "RabbitMQ answers", timeout=90)
        url = f"amqp://guest:guest@127.0.0.1:{port}//"
        env = {"CELERY_BROKER_URL": url, "DATABASE_URL": database_url, "LINKING_QUEUE_TYPE": "quorum"}
        with WorkerProcess(env | {"LINKING_STALL_AFTER": "2"}) as worker, closing(QuorumCaller(url)) as caller:
            task = caller.link(add_learners(ROUND), learners_per_subtask=2)
            wait_until(lambda: JobSlice.objects.exclude(finished=None).count() >= 5, "slices are done")
            broker.kill()
            worker.kill()
            assert JobSlice.objects.filter(finished=None).exists()
            broker.start()
            wait_until(partial(is_up, f"127.0.0.1:{port}"), "RabbitMQ answers", timeout=90)

        with WorkerProcess(env | {"LINKING_STALL_AFTER": "2"}), closing(QuorumCaller(url)) as caller:

            def has_ended() -> bool:
                caller.send(RECOVERY, expires=30, routing_key="linking.recovery")  # As beat does.
                return LinkingJob.objects.exclude(notified=None).exists()

            wait_until(has_ended, "the job ends", interval=1, timeout=90)
            assert result_of(task) == {}
            assert caller.wait_for_answers(1) == [{}]
        assert LinkingJob.objects.get().counts == {"linked": ROUND}
    finally:
        broker.remove(force=True, v=True)


def return_message(channel: Any) -> bool:
    message: Message | None = channel.basic_get("linking")
    if message is not None:
        channel.basic_reject(message.delivery_tag, requeue=True)
    return message is not None


def test_a_refused_message_is_no_dead_letter_and_a_message_with_an_eta_waits_in_rabbitmq(
    start: StartWorker, caller: QuorumCaller, address: str
) -> None:
    start()
    caller.send(LINK, "nonsense", link_error=caller.callback(FAILURES))
    caller.send("linking.nobody_knows", link_error=caller.callback(FAILURES))
    later = [caller.send(LINK, "5c8d9a52-1f0e-4c63-9a67-2b6f0d4e7a11", {}, countdown=3) for _ in range(6)]
    wait_until(lambda: length(address, "linking.wait.2") > 0, "they wait")
    assert result_of(caller.link(add_learners(1))) == {}

    assert [result_of(task) for task in later] == [{}] * 6
    assert length(address, "linking.dead") == 0


def test_a_queue_of_another_type_stops_the_worker_with_the_remedy(address: str, env: dict[str, str]) -> None:
    with closing(connect(address)) as connection:
        connection.channel().queue_declare("linking", durable=True, auto_delete=False)
    with pytest.raises(ServerError) as fault, WorkerProcess(env):
        pass
    assert "RabbitMQ has the queue linking in another form than LINKING_QUEUE_TYPE=quorum declares" in str(fault.value)
    assert "Set LINKING_QUEUE to a new name and LINKING_OLD_QUEUE=linking" in str(fault.value)
