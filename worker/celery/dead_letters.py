"""Dead letters: messages of quorum queues that RabbitMQ gave up, because workers returned or lost them too often."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kombu import Exchange, Producer

from worker.celery.application import BROKER_TIMEOUT, app
from worker.celery.queues import IS_QUORUM
from worker.celery.waiting import PROPERTIES, is_on_rabbitmq
from worker.queue_names import DEAD, TASKS


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A dead letter, without its arguments, which may name learners."""

    task: str
    task_id: str
    queue: str  # Where it was delivered from.
    reason: str  # RabbitMQ's: delivery_limit, or rejected.


def are_kept() -> bool:
    """Return whether this configuration has a queue of dead letters."""
    return IS_QUORUM and is_on_rabbitmq(app)


def count_dead_letters() -> int:
    """Return the number of dead letters.

    Raises:
        Exception: RabbitMQ does not answer, or no worker has declared the queue yet.
    """
    with _channel() as channel:
        return int(channel.queue_declare(DEAD, passive=True).message_count)


def list_dead_letters() -> list[DeadLetter]:
    """Return the dead letters, the oldest first; they stay in their queue."""
    with _channel() as channel:
        return [_described(message) for message in _received(channel)]


def resend_dead_letters() -> list[DeadLetter]:
    """Send the dead letters to the queues that they come from; return them."""
    sent = []
    with _channel() as channel:
        producer = Producer(channel, Exchange(""))
        for message in _received(channel):
            letter = _described(message)
            producer.publish(
                message.body,
                routing_key=letter.queue,
                content_type=message.content_type,
                content_encoding=message.content_encoding,
                headers={name: value for name, value in message.headers.items() if not name.startswith("x-")},
                **{name: message.properties[name] for name in PROPERTIES if name in message.properties},
            )
            message.ack()
            sent.append(letter)
    return sent


@contextmanager
def _channel() -> Iterator[Any]:
    with app.connection_for_write(connect_timeout=BROKER_TIMEOUT) as connection:
        connection.ensure_connection(max_retries=1, timeout=BROKER_TIMEOUT)
        yield connection.default_channel


def _received(channel: Any) -> Iterator[Any]:
    """Yield the dead letters; those that are not acknowledged return to their queue when the channel is closed."""
    for _ in range(channel.queue_declare(DEAD, passive=True).message_count):
        raw = channel.basic_get(DEAD)
        if raw is None:
            return
        yield channel.message_to_python(raw)


def _described(message: Any) -> DeadLetter:
    headers = message.headers
    return DeadLetter(
        task=str(headers.get("task")),
        task_id=str(headers.get("id")),
        queue=str(headers.get("x-first-death-queue") or TASKS),
        reason=str(headers.get("x-first-death-reason")),
    )
