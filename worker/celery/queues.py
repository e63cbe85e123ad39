"""The declarations of the queues in the broker."""

from typing import Any

from amqp.exceptions import NotFound
from django.conf import settings
from kombu import Exchange, Queue

from worker.queue_names import BULK, DEAD, EVENTS, RECOVERY, TASKS

DELIVERY_LIMIT = 20
"""Deliveries that end without an acknowledgement before RabbitMQ moves a message of a quorum queue to DEAD."""
CONSUMER_TIMEOUT = 5 * 3600 * 1000
"""Milliseconds that a worker may keep a message of a quorum queue; an import may take four hours."""
WAITS = (1, 2, 4, 8, 16, 32, 64)
"""Seconds that messages may wait in a queue of RabbitMQ before they are delivered."""
AT_LEAST_ONCE = {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}
"""Arguments with which a quorum queue keeps a message until the next queue has it; the first one needs the second."""
IS_QUORUM = settings.LINKING_QUEUE_TYPE == "quorum"


class MissingQueueError(LookupError):
    """RabbitMQ has no queue of this name: its consumer declares it when it starts."""


class _ForeignQueue(Queue):
    """A queue of RabbitMQ that another application declares."""

    can_cache_declaration = False

    def declare(self, nowait: bool = False, channel: Any = None) -> str:
        """Check that the queue exists: RabbitMQ would accept and drop a message to a queue that does not.

        Raises:
            MissingQueueError: it does not.
        """
        try:
            self.queue_declare(nowait=nowait, passive=True, channel=channel)
        except NotFound:
            raise MissingQueueError(self.name) from None
        return str(self.name)


def task_queues() -> list[Queue]:
    """Return the queues that a worker without ``-Q`` consumes, in turns."""
    exchange = Exchange(TASKS, type="direct")
    ours = [Queue(name, exchange, name, queue_arguments=_arguments(DEAD)) for name in (TASKS, BULK, RECOVERY, EVENTS)]
    old = settings.LINKING_OLD_QUEUE
    # Its callers declare it without arguments. RabbitMQ would refuse another declaration.
    return [*ours, Queue(old, Exchange(old, type="direct"), old)] if old else ours


def rabbitmq_queues() -> list[Queue]:
    """Return all queues that a worker declares on RabbitMQ before it consumes any of them."""
    return [*([dead_queue()] if IS_QUORUM else []), *task_queues(), *(wait_queue(seconds) for seconds in WAITS)]


def foreign_queue(name: str) -> Queue:
    """Return a queue that another application declares; a message to it is sent only if it exists."""
    return _ForeignQueue(name, Exchange(""), name)


def dead_queue() -> Queue:
    """Return the queue of dead letters; looking at one does not count as a delivery that failed."""
    return Queue(DEAD, Exchange(""), DEAD, queue_arguments={"x-queue-type": "quorum", "x-delivery-limit": -1})


def wait_exchange(seconds: float) -> str:
    """Return the exchange for messages that RabbitMQ delivers some seconds later, 64 at most."""
    return f"{TASKS}.wait.{_wait(seconds)}"


def wait_queue(seconds: float) -> Queue:
    """Return the queue of that exchange: each message expires in it, and is then routed by its routing key."""
    name = wait_exchange(seconds)
    arguments = {"x-message-ttl": _wait(seconds) * 1000, "x-dead-letter-exchange": ""}
    if IS_QUORUM:
        arguments |= {"x-queue-type": "quorum", **AT_LEAST_ONCE}
    return Queue(name, Exchange(name, type="fanout"), "", queue_arguments=arguments)


def longest_wait(seconds: float) -> int:
    """Return the longest time in WAITS that is not above ``seconds``, or the shortest one."""
    return max((wait for wait in WAITS if wait <= seconds), default=WAITS[0])


def _wait(seconds: float) -> int:
    return next((wait for wait in WAITS if wait >= seconds), WAITS[-1])


def _arguments(dead: str) -> dict[str, Any] | None:
    """Return the arguments of a queue; Redis ignores them."""
    if not IS_QUORUM:
        return None  # Callers declare such queues without arguments.
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-consumer-timeout": CONSUMER_TIMEOUT,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead,
        **AT_LEAST_ONCE,
    }
