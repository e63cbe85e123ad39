"""The broker seen from outside: what waits in its queues, what workers have in hand, and deliveries made twice."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast
from uuid import uuid4

import redis
from django.db import connection, transaction

TASKS = "celery"
"""The queue that workers take tasks from."""
UNACKNOWLEDGED = "unacked"
"""Where kombu keeps the messages that a worker has in hand."""
PATIENCE = 30.0
"""Seconds within which what a test waits for must have happened."""

Message = dict[str, Any]


class NeverHappenedError(AssertionError):
    """What a test waits for does not happen."""


def wait_until(happened: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Wait until ``happened()``; ``what`` says in a failure what never did."""
    deadline = time.monotonic() + patience
    while not happened():
        if time.monotonic() > deadline:
            msg = f"not within {patience:g} s: {what}"
            raise NeverHappenedError(msg)
        time.sleep(0.02)


class Broker:
    """A Redis broker, looked at directly."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url)

    def close(self) -> None:
        """Disconnect."""
        self._client.close()

    def queued(self, queue: str = TASKS) -> list[Message]:
        """Return the messages that wait in ``queue``, the oldest first."""
        raw = cast("list[bytes]", self._client.lrange(queue, 0, -1))
        return [json.loads(message) for message in reversed(raw)]

    def in_hand(self) -> list[Message]:
        """Return the messages that workers have taken and not acknowledged."""
        raw = cast("dict[bytes, bytes]", self._client.hgetall(UNACKNOWLEDGED))
        return [json.loads(value)[0] for value in raw.values()]

    def publish(self, message: Message, *, redelivered: bool = False) -> None:
        """Put a copy of ``message`` into the tasks' queue, marked as Redis marks what it delivers again if asked to."""
        copy = json.loads(json.dumps(message))
        copy["properties"]["delivery_tag"] = str(uuid4())
        if redelivered:
            copy["headers"]["redelivered"] = True
            copy["properties"]["delivery_info"]["redelivered"] = True
        self._client.lpush(TASKS, json.dumps(copy))

    def wait_until_quiet(self) -> None:
        """Wait until every task is done and acknowledged, and sends no other."""
        quiet = 0

        def is_quiet() -> bool:
            nonlocal quiet
            busy = cast("int", self._client.llen(TASKS)) or cast("int", self._client.hlen(UNACKNOWLEDGED))
            quiet = 0 if busy else quiet + 1
            return quiet > 3  # A message is nowhere for an instant when a worker takes it.

        wait_until(is_quiet, "the queue is empty and no task is in hand")

    def calls(self, queue: str) -> list[Any]:
        """Return the arguments of the callbacks that wait in ``queue``, the oldest first."""
        return [arguments(message) for message in self.queued(queue)]


def arguments(message: Message) -> list[Any]:
    """Return the positional arguments that a message carries."""
    args, _, _ = json.loads(base64.b64decode(message["body"]))
    return cast("list[Any]", args)


@contextmanager
def held_up(table: str) -> Iterator[None]:
    """Keep whoever writes to ``table`` waiting until the block is done, so that workers meet there."""
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
        # SQLite has one lock, which the transaction has taken already.
        yield
