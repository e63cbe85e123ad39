"""The messages in the broker: queued, unacknowledged, and published a second time."""

import base64
import json
from typing import Any, cast
from uuid import uuid4

import redis

from tests.support.waiting import wait_until

TASKS = "linking"
"""The queue that callers send requests to."""
OLD = "celery"
"""The queue that they sent to before."""
QUEUES = (TASKS, "linking.bulk", "linking.recovery", "linking.events", OLD)
"""The queues of the workers."""
BY_PRIORITY = tuple(f"{queue}{priority}" for priority in ("", "\x06\x163", "\x06\x166") for queue in QUEUES)
"""Kombu's Redis lists for these queues, highest priority first."""
UNACKNOWLEDGED = "linking.unacked"
"""Our Redis hash of messages that a worker has received and not acknowledged."""

Message = dict[str, Any]


class Broker:
    """A direct view of a Redis broker."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url)

    def close(self) -> None:
        self._client.close()

    def queued(self, queue: str | None = None) -> list[Message]:
        """Return the messages in ``queue``, the oldest first; by default those in the queues of the workers."""
        lists = (queue,) if queue else BY_PRIORITY
        raw = [message for name in lists for message in reversed(cast("list[bytes]", self._client.lrange(name, 0, -1)))]
        return [json.loads(message) for message in raw]

    def unacknowledged(self) -> list[Message]:
        """Return the messages that workers have received and not acknowledged."""
        raw = cast("dict[bytes, bytes]", self._client.hgetall(UNACKNOWLEDGED))
        return [json.loads(value)[0] for value in raw.values()]

    def drop_unacknowledged(self) -> None:
        """Drop the messages that would be delivered again when the visibility timeout is over."""
        self._client.delete(UNACKNOWLEDGED, f"{UNACKNOWLEDGED}_index")

    def wait_for_delivery(self, task: str) -> Message:
        """Wait until a worker has received a message for ``task`` and not acknowledged it; return the message."""
        found: list[Message] = []

        def is_delivered() -> bool:
            found[:] = [message for message in self.unacknowledged() if task_of(message) == task]
            return bool(found)

        wait_until(is_delivered, f"{task} runs")
        return found[0]

    def publish(self, message: Message, *, redelivered: bool = False) -> None:
        """Put a copy of a message at the head of the tasks' queue, on request marked as kombu marks a redelivery."""
        copy = json.loads(json.dumps(message))
        copy["properties"]["delivery_tag"] = str(uuid4())
        if redelivered:
            copy["headers"]["redelivered"] = True
            copy["properties"]["delivery_info"]["redelivered"] = True
        self._client.rpush(TASKS, json.dumps(copy))

    def wait_until_quiet(self) -> None:
        """Wait until every task has ended and was acknowledged, and none sent another."""
        quiet = 0

        def is_quiet() -> bool:
            nonlocal quiet
            busy = any(map(self._client.llen, BY_PRIORITY)) or self._client.hlen(UNACKNOWLEDGED)
            quiet = 0 if busy else quiet + 1
            return quiet > 3  # A message is in neither place for an instant when a worker receives it.

        wait_until(is_quiet, "no message is queued or unacknowledged")

    def embedded(self, message: Message) -> Message:
        """Return the third part of a message's body: callbacks, errbacks, chain, chord."""
        _, _, embedded = json.loads(base64.b64decode(message["body"]))
        return cast("Message", embedded)

    def calls(self, queue: str) -> list[Any]:
        """Return the arguments of the callbacks in ``queue``, the oldest first."""
        return [arguments(message) for message in self.queued(queue)]


def named_arguments(message: Message) -> Message:
    """Return the keyword arguments of a message."""
    _, kwargs, _ = json.loads(base64.b64decode(message["body"]))
    return cast("Message", kwargs)


def task_of(message: Message) -> str:
    """Return the name of a message's task."""
    return str(message["headers"]["task"])


def arguments(message: Message) -> list[Any]:
    """Return the positional arguments of a message."""
    args, _, _ = json.loads(base64.b64decode(message["body"]))
    return cast("list[Any]", args)
