"""Access to the broker: send requests, receive callbacks, duplicate messages, count messages that are left."""

import base64
import json
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import uuid4

import redis
from celery import Celery
from celery.canvas import Signature
from redis.exceptions import RedisError

LINK, RECOVERY = "linking.link_program_enrollments", "linking.resume_stalled_jobs"
TASKS, UNACKED, UNACKED_INDEX = "linking", "linking.unacked", "linking.unacked_index"
"""The Redis keys of the queue of tasks, and of the unacknowledged messages and their index by age."""
QUEUES = tuple(
    f"{queue}{priority}"
    for queue in (TASKS, "linking.bulk", "linking.recovery")
    for priority in ("", "\x06\x163", "\x06\x166")
)
"""Kombu's lists for the workers' queues, by priority."""
RESULTS, FAILURES = "results", "failures"
"""The caller's queues for its callbacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request to link; it is sent with the same task id each time.

    Attributes:
        mapping: LMS username by external user key.
        options: keyword arguments of the task.
        callbacks: further ``link=`` callbacks, in Celery's form.
        job_id: the task id.
    """

    mapping: Mapping[str, str]
    options: Mapping[str, Any] = field(default_factory=dict)
    callbacks: Sequence[Mapping[str, Any]] = ()
    job_id: str = field(default_factory=lambda: str(uuid4()))


class Caller:
    """A service that sends requests and collects the calls of its callbacks, by job id.

    Args:
        url: URL of the broker.
        program: UUID of the program.
    """

    def __init__(self, url: str, program: str) -> None:
        self.results: dict[str, list[Any]] = defaultdict(list)
        self.failures: dict[str, list[Any]] = defaultdict(list)
        self._program = program
        self._app = Celery(broker=url, set_as_current=False)
        self._app.conf.update(broker_read_url=url, broker_write_url=url, task_default_queue=TASKS)
        self._redis = redis.Redis.from_url(url, socket_timeout=5)
        self._closed = threading.Event()
        self._listener = threading.Thread(target=self._listen, name="callbacks")
        self._listener.start()

    def close(self) -> None:
        """Stop listening."""
        self._closed.set()
        self._listener.join()
        self._app.close()
        self._redis.close()

    def send(self, request: Request) -> None:
        """Send a request."""
        result, failure = (
            Signature("caller.receive", app=self._app, options={"queue": q}) for q in (RESULTS, FAILURES)
        )
        self._app.send_task(
            LINK,
            (self._program, dict(request.mapping)),
            dict(request.options),
            task_id=request.job_id,
            link=[result, *map(dict, request.callbacks)],  # type: ignore[arg-type] # Celery takes a list, too
            link_error=failure,
        )

    def send_recovery(self) -> None:
        """Send the recovery task, as beat does."""
        self._app.send_task(RECOVERY, ignore_result=True, expires=30, queue="linking.recovery")

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                received = cast("tuple[bytes, bytes] | None", self._redis.brpop([RESULTS, FAILURES], timeout=1))
            except RedisError:
                time.sleep(0.01)
                continue
            if received is not None:
                queue, message = received
                content = json.loads(message)
                (first, *_), _, _ = json.loads(base64.b64decode(content["body"]))
                if queue.decode() == RESULTS:
                    self.results[content["headers"]["parent_id"]].append(first)
                else:
                    self.failures[str(first)].append(first)


def pause_clients(url: str, seconds: float) -> None:
    """Make Redis delay all commands for some seconds."""
    _with_client(url, lambda client: client.client_pause(int(seconds * 1000)))


def deliver_twice(url: str, choice: random.Random) -> bool:
    """Add a copy of a queued or unacknowledged message to the queue; return false if there is none."""
    return bool(_with_client(url, lambda client: _deliver_twice(client, choice)))


def _deliver_twice(client: "redis.Redis", choice: random.Random) -> bool:
    queued = [raw for name in QUEUES for raw in cast("list[bytes]", client.lrange(name, 0, -1))]
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
    push(TASKS, json.dumps(message))
    return True


def leftovers(url: str) -> dict[str, int]:
    """Return the number of messages by Redis key; keys without messages are left out."""

    def count(client: "redis.Redis") -> dict[str, int]:
        sizes = {
            **{name: client.llen(name) for name in QUEUES},
            UNACKED: client.hlen(UNACKED),
            UNACKED_INDEX: client.zcard(UNACKED_INDEX),
        }
        return {key: size for key, size in sizes.items() if size}

    return _with_client(url, count) or {}


def _with_client(url: str, use: "Callable[[redis.Redis], Any]") -> Any:
    with redis.Redis.from_url(url, socket_timeout=10) as client, suppress(RedisError):
        return use(client)
