"""The broker as chaos sees it: the caller's request and answers, deliveries made twice, and what is left behind."""

import base64
import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, cast
from uuid import uuid4

import redis
from celery import Celery
from celery.canvas import Signature
from redis.exceptions import RedisError

LINK, SWEEP = "linking.link_program_enrollments", "linking.resume_stalled_jobs"
TASKS, IN_HAND, IN_HAND_BY_AGE = "celery", "unacked", "unacked_index"
"""Kombu's names: the queue of tasks, and where it keeps what workers have in hand."""
BY_PRIORITY = (TASKS, *(f"{TASKS}\x06\x16{priority}" for priority in (3, 6, 9)))
"""Kombu's lists for that queue, the first served first."""
ANSWERS, FAILURES = "answers", "failures"
"""The caller's own queues."""


class Caller:
    """A service that asks for a job and takes down each answer the moment it comes.

    Args:
        url: the broker.
        program: the program.
        mapping: LMS username by external user key.
        options: the task's keyword arguments.
    """

    def __init__(self, url: str, program: str, mapping: Mapping[str, str], options: Mapping[str, Any]) -> None:
        self.job_id = str(uuid4())
        self.answers: list[Any] = []
        self.failures: list[Any] = []
        self._request = (program, dict(mapping)), dict(options)
        self._app = Celery(broker=url, set_as_current=False)
        self._app.conf.update(broker_read_url=url, broker_write_url=url)
        self._redis = redis.Redis.from_url(url, socket_timeout=5)
        self._over = threading.Event()
        self._listener = threading.Thread(target=self._listen, name="answers")
        self._listener.start()

    def close(self) -> None:
        """Stop listening."""
        self._over.set()
        self._listener.join()
        self._app.close()
        self._redis.close()

    def ask(self) -> None:
        """Send the request, again under the same task id if it was sent before."""
        args, kwargs = self._request
        answer, failure = (
            Signature("caller.receive", app=self._app, options={"queue": q}) for q in (ANSWERS, FAILURES)
        )
        self._app.send_task(LINK, args, kwargs, task_id=self.job_id, link=answer, link_error=failure)

    def sweep(self) -> None:
        """Ask for a look for jobs that stand still, as one more beat would."""
        self._app.send_task(SWEEP, ignore_result=True, expires=30)

    def _listen(self) -> None:
        while not self._over.is_set():
            try:
                taken = cast("tuple[bytes, bytes] | None", self._redis.brpop([ANSWERS, FAILURES], timeout=1))
            except RedisError:
                time.sleep(0.01)
                continue
            if taken is not None:
                queue, message = taken
                args, _, _ = json.loads(base64.b64decode(json.loads(message)["body"]))
                (self.answers if queue.decode() == ANSWERS else self.failures).append(args[0])


def pause_clients(url: str, seconds: float) -> None:
    """Let Redis answer nobody for a while."""
    _with_client(url, lambda client: client.client_pause(int(seconds * 1000)))


def deliver_twice(url: str, choice: random.Random) -> bool:
    """Put a copy of a message, waiting or in hand, into the queue; tell whether there was one."""
    return bool(_with_client(url, lambda client: _deliver_twice(client, choice)))


def _deliver_twice(client: "redis.Redis", choice: random.Random) -> bool:
    waiting = [raw for name in BY_PRIORITY for raw in cast("list[bytes]", client.lrange(name, 0, -1))]
    in_hand = cast("dict[bytes, bytes]", client.hgetall(IN_HAND))
    messages = [json.loads(raw) for raw in waiting] + [json.loads(raw)[0] for raw in in_hand.values()]
    messages = [message for message in messages if message["headers"]["task"] != SWEEP]
    if not messages:
        return False
    message = choice.choice(messages)
    message["properties"]["delivery_tag"] = str(uuid4())
    if choice.random() < 0.5:  # noqa: PLR2004 - a coin: half of them marked as kombu marks what it delivers again
        message["headers"]["redelivered"] = message["properties"]["delivery_info"]["redelivered"] = True
    put = client.lpush if choice.random() < 0.5 else client.rpush  # noqa: PLR2004 - a coin: first or last in the queue
    put(TASKS, json.dumps(message))
    return True


def leftovers(url: str) -> dict[str, int]:
    """Return how many messages are waiting or in hand, by name of the place; empty where there is none."""

    def count(client: "redis.Redis") -> dict[str, int]:
        sizes = {
            **{name: client.llen(name) for name in BY_PRIORITY},
            IN_HAND: client.hlen(IN_HAND),
            IN_HAND_BY_AGE: client.zcard(IN_HAND_BY_AGE),
        }
        return {place: size for place, size in sizes.items() if size}

    return _with_client(url, count) or {}


def _with_client(url: str, use: "Callable[[redis.Redis], Any]") -> Any:
    with redis.Redis.from_url(url, socket_timeout=10) as client, suppress(RedisError):
        return use(client)
