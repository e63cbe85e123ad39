"""RabbitMQ 4 with quorum queues."""

import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from amqp import Connection
from amqp.exceptions import AMQPError, NotFound

from chaos.brokers.interface import RECOVERY, TASKS, Broker
from devservers import RabbitMQServer

READY_TIMEOUT = 90.0
"""Seconds in which workers must have connected to a server that was started."""
SAMPLE = 20
"""Messages that are read at most to find one to copy."""
DEAD = "linking.dead"
SENT_AGAIN = {RECOVERY, "linking.link_learners", "linking.finish_job", "linking.deliver_events"}
"""Tasks whose messages recovery or beat sends again if RabbitMQ gives them up: kills, and reading them to copy one,
count as deliveries."""


class RabbitMQ(Broker):
    """A private RabbitMQ."""

    keeps_messages = True
    env = {"LINKING_QUEUE_TYPE": "quorum"}  # noqa: RUF012 - not changed
    client_settings = {  # noqa: RUF012 - as above
        "broker_transport_options": {"confirm_publish": True},
        "task_default_queue": "service",  # Celery declares it with each message.
    }

    def __init__(self) -> None:
        self.server: RabbitMQServer = RabbitMQServer()
        self.port = self.server.port

    def url(self, port: int | None = None) -> str:
        """Return the address."""
        return self.server.url_at(port or self.port)

    def route(self, queue: str) -> dict[str, Any]:
        """Return the workers' exchange: a caller cannot declare their queues."""
        return {"exchange": TASKS[0], "routing_key": queue}

    def wait_for_workers(self) -> None:
        """Wait for the queues."""
        deadline = time.monotonic() + READY_TIMEOUT
        for queue in TASKS:
            while not self._has(queue):
                if time.monotonic() > deadline:
                    msg = f"no worker has declared {queue} within {READY_TIMEOUT:g} s"
                    raise TimeoutError(msg)
                time.sleep(0.2)

    def empty(self) -> None:
        """Remove its files."""
        self.server.erase()

    def pause(self, seconds: float) -> None:
        """Freeze it."""
        self.server.pause()
        time.sleep(seconds)
        self.server.unpause()

    def deliver_twice(self, choice: random.Random) -> bool:
        """Copy one of the first messages of a queue; those that workers have received cannot be read."""
        with suppress(AMQPError, OSError), self._channel() as channel:
            for queue in choice.sample(TASKS, len(TASKS)):
                for _ in range(choice.randint(1, SAMPLE)):
                    message = channel.basic_get(queue)
                    if message is None:
                        break
                    if message.headers.get("task") != RECOVERY:
                        # Those read are returned when the channel is closed.
                        channel.basic_publish(message, exchange="", routing_key=queue)
                        return True
        return False

    def leftovers(self) -> dict[str, int]:
        """Count the messages, those that workers have received included."""
        lines = (line.split("\t") for line in self.server.control("list_queues", "name", "messages").splitlines())
        sizes = {name: int(size) for name, size in lines if size.isdecimal()}
        ours = {name: size for name, size in sizes.items() if name.startswith("linking") and "celeryev" not in name}
        if not ours:
            return {"unknown": 1}
        left = {name: size for name, size in ours.items() if size and "pidbox" not in name and name != DEAD}
        return left | self._given_up(ours.get(DEAD, 0))

    def _given_up(self, count: int) -> dict[str, int]:
        """Count the dead letters that nothing sends again, by their task."""
        given_up = Counter[str]()
        with suppress(AMQPError, OSError), self._channel() as channel:
            for _ in range(count):  # Those read are returned when the channel is closed.
                message = channel.basic_get(DEAD)
                if message and (task := message.headers.get("task")) not in SENT_AGAIN:
                    given_up[f"{DEAD}: {task}"] += 1
        return given_up

    def _has(self, queue: str) -> bool:
        try:
            with self._channel() as channel:
                channel.queue_declare(queue, passive=True)
        except (NotFound, AMQPError, OSError):
            return False
        return True

    @contextmanager
    def _channel(self) -> Iterator[Any]:
        connection = Connection(f"127.0.0.1:{self.port}", connect_timeout=5, read_timeout=10, confirm_publish=True)
        connection.connect()
        try:
            yield connection.channel()
        finally:
            with suppress(AMQPError, OSError):
                connection.close()
