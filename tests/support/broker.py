"""The broker seen from outside: what waits in its queues, what workers have in hand, and deliveries made twice."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any, cast
from uuid import uuid4

import psycopg
import redis

TASKS = "celery"
"""The queue that workers take tasks from."""
BY_PRIORITY = (TASKS, *(f"{TASKS}\x06\x16{priority}" for priority in (3, 6, 9)))
"""Kombu's lists for it, the first served first."""
UNACKNOWLEDGED = "unacked"
"""Where kombu keeps the messages that a worker has in hand."""
TIMEOUT = 60.0
"""Seconds within which what a test waits for must have happened."""

Message = dict[str, Any]


class NeverHappenedError(AssertionError):
    """What a test waits for does not happen."""


def wait_until(happened: Callable[[], bool], what: str, patience: float = TIMEOUT) -> None:
    """Wait until ``happened()``; ``what`` says in a failure what never did."""
    deadline = time.monotonic() + patience
    while not happened():
        if time.monotonic() > deadline:
            msg = f"not within {patience:g} s: {what}"
            raise NeverHappenedError(msg)
        time.sleep(0.03)


class Broker:
    """A Redis broker, looked at directly."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url)

    def close(self) -> None:
        """Disconnect."""
        self._client.close()

    def queued(self, queue: str = TASKS) -> list[Message]:
        """Return the messages that wait in ``queue``, the oldest first."""
        lists = BY_PRIORITY if queue == TASKS else (queue,)
        raw = [message for name in lists for message in reversed(cast("list[bytes]", self._client.lrange(name, 0, -1)))]
        return [json.loads(message) for message in raw]

    def unacknowledged(self) -> list[Message]:
        """Return the messages that workers have taken and not acknowledged."""
        raw = cast("dict[bytes, bytes]", self._client.hgetall(UNACKNOWLEDGED))
        return [json.loads(value)[0] for value in raw.values()]

    def taken(self, task: str) -> Message:
        """Wait until a worker has a message for ``task`` in hand, and return it."""

        def for_task() -> list[Message]:
            return [message for message in self.unacknowledged() if task_of(message) == task]

        wait_until(lambda: bool(for_task()), f"{task} runs")
        return for_task()[0]

    def publish(self, message: Message, *, redelivered: bool = False) -> None:
        """Put a copy of ``message`` at the head of the tasks' queue.

        Args:
            message: what was queued or in hand.
            redelivered: mark it as kombu marks what it delivers again.
        """
        copy = json.loads(json.dumps(message))
        copy["properties"]["delivery_tag"] = str(uuid4())
        if redelivered:
            copy["headers"]["redelivered"] = True
            copy["properties"]["delivery_info"]["redelivered"] = True
        self._client.rpush(TASKS, json.dumps(copy))

    def wait_until_quiet(self) -> None:
        """Wait until every task is done and acknowledged, and sends no other."""
        quiet = 0

        def is_quiet() -> bool:
            nonlocal quiet
            busy = any(map(self._client.llen, BY_PRIORITY)) or self._client.hlen(UNACKNOWLEDGED)
            quiet = 0 if busy else quiet + 1
            return quiet > 3  # A message is nowhere for an instant when a worker takes it.

        wait_until(is_quiet, "the queue is empty and no task is in hand")

    def embedded(self, message: Message) -> Message:
        """Return what a message carries beside its arguments: callbacks, chain, chord."""
        _, _, embedded = json.loads(base64.b64decode(message["body"]))
        return cast("Message", embedded)

    def calls(self, queue: str) -> list[Any]:
        """Return the arguments of the callbacks that wait in ``queue``, the oldest first."""
        return [arguments(message) for message in self.queued(queue)]


def task_of(message: Message) -> str:
    """Return the name of the task that a message is for."""
    return str(message["headers"]["task"])


def arguments(message: Message) -> list[Any]:
    """Return the positional arguments that a message carries."""
    args, _, _ = json.loads(base64.b64decode(message["body"]))
    return cast("list[Any]", args)


class Lock:
    """A lock in PostgreSQL under which workers meet: they wait for what it covers until it is released.

    Args:
        database_url: the database.
        sql: the statement that takes the lock.
    """

    def __init__(self, database_url: str, sql: str) -> None:
        self._connection = psycopg.connect(database_url)
        self._connection.execute(sql)

    def wait_for_blocked(self, count: int) -> None:
        """Wait until ``count`` others wait for a lock, this one or one that a waiting one holds."""
        waiting = "SELECT COUNT(*) FROM pg_locks WHERE NOT granted"

        def met() -> bool:
            return self._connection.execute(waiting).fetchone() == (count,)

        wait_until(met, f"{count} workers wait for the lock")

    def release(self) -> None:
        """Let the others go on."""
        self._connection.close()
