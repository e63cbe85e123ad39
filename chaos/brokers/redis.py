"""Redis."""

import json
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast
from uuid import uuid4

import redis
from redis.exceptions import RedisError

from chaos.brokers.interface import RECOVERY, TASKS, Broker
from devservers import RedisServer

UNACKED, UNACKED_INDEX = "linking.unacked", "linking.unacked_index"
"""The keys of the unacknowledged messages and of their index by age."""
LISTS = tuple(f"{queue}{priority}" for queue in TASKS for priority in ("", "\x06\x163", "\x06\x166"))
"""Kombu's lists for the workers' queues, by priority."""


class Redis(Broker):
    """A private Redis."""

    keeps_messages = False

    def __init__(self) -> None:
        self.server: RedisServer = RedisServer()
        self.port = self.server.port

    def url(self, port: int | None = None) -> str:
        """Return the address."""
        return f"redis://127.0.0.1:{port or self.port}/0"

    def route(self, queue: str) -> dict[str, Any]:
        """Return the queue."""
        return {"queue": queue}

    def wait_for_workers(self) -> None:
        """Return: a list needs no declaration."""

    def empty(self) -> None:
        """Return: it is empty."""

    def pause(self, seconds: float) -> None:
        """Delay all commands."""
        self._use(lambda client: client.client_pause(int(seconds * 1000)))

    def deliver_twice(self, choice: random.Random) -> bool:
        """Copy a queued or unacknowledged message."""
        return bool(self._use(lambda client: _deliver_twice(client, choice)))

    def leftovers(self) -> dict[str, int]:
        """Count the messages by key."""

        def count(client: "redis.Redis") -> dict[str, int]:
            sizes = {
                **{name: client.llen(name) for name in LISTS},
                UNACKED: client.hlen(UNACKED),
                UNACKED_INDEX: client.zcard(UNACKED_INDEX),
            }
            return {key: size for key, size in sizes.items() if size}

        return self._use(count) or {}

    def _use(self, use: Callable[["redis.Redis"], Any]) -> Any:
        with redis.Redis.from_url(self.url(), socket_timeout=10) as client, suppress(RedisError):
            return use(client)


def _deliver_twice(client: "redis.Redis", choice: random.Random) -> bool:
    queued = [raw for name in LISTS for raw in cast("list[bytes]", client.lrange(name, 0, -1))]
    unacked = cast("dict[bytes, bytes]", client.hgetall(UNACKED))
    messages = [json.loads(raw) for raw in queued] + [json.loads(raw)[0] for raw in unacked.values()]
    messages = [message for message in messages if message["headers"]["task"] != RECOVERY]
    if not messages:
        return False
    message = choice.choice(messages)
    message["properties"]["delivery_tag"] = str(uuid4())
    if choice.random() < 0.5:  # noqa: PLR2004 - half of them are marked as kombu's redeliveries are
        message["headers"]["redelivered"] = message["properties"]["delivery_info"]["redelivered"] = True
    push = client.lpush if choice.random() < 0.5 else client.rpush  # noqa: PLR2004 - first or last in the queue
    push(TASKS[0], json.dumps(message))
    return True
