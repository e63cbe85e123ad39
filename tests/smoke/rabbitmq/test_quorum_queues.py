"""RabbitMQ 4 with quorum queues: workers on this machine, RabbitMQ and PostgreSQL in containers."""

import os
import time
from contextlib import closing
from functools import partial
from typing import Any

import docker
import pytest
from amqp import Message  # noqa: TC002 - pytest reads annotations
from pytest_docker_tools.wrappers import Container

from devservers import WorkerProcess
from devservers.broker import free_port
from devservers.server import ServerError
from tests.smoke.rabbitmq.caller import QuorumCaller
from tests.smoke.rabbitmq.conftest import StartWorker
from tests.smoke.rabbitmq.server import connect, is_up, length
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
ROUND = 300
"""Learners of a job in the middle of which servers are killed."""
RECOVERY = "linking.resume_stalled_jobs"


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
