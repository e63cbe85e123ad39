"""Messages that wait in RabbitMQ: in queues of their own, and not in a worker.

Celery delivers a message with an ETA at once; a worker keeps it until its time, and receives one message more instead.
On RabbitMQ 4 it does not: the number of messages that a consumer may keep is fixed (celery/celery#9512), so a few
waiting messages would stop a worker. Here they expire in a queue of RabbitMQ, which then routes them to their own one.
"""

from datetime import UTC, datetime
from typing import Any

from kombu import Queue
from kombu.message import Message

from worker.celery.queues import longest_wait, wait_exchange, wait_queue
from worker.queue_names import TASKS

PROPERTIES = ("correlation_id", "reply_to", "priority", "delivery_mode", "expiration")
"""Properties of a message that waiting keeps."""


def is_on_rabbitmq(app: Any) -> bool:
    """Return whether a Celery application sends its messages to RabbitMQ."""
    return str(app.conf.broker_write_url).startswith(("amqp", "pyamqp"))


def seconds_until(eta: Any) -> float:
    """Return the seconds until an ETA.

    Args:
        eta: a time, or a text in ISO 8601; without a time zone it is in UTC.

    Raises:
        TypeError: it is neither.
        ValueError: the text is no time.
    """
    moment = eta if isinstance(eta, datetime) else datetime.fromisoformat(eta)
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds()


def route_through_wait(options: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Return the options of a message to a queue, changed so that RabbitMQ delivers it some seconds later."""
    queue, exchange = options.get("queue"), wait_exchange(seconds)
    name = queue.name if isinstance(queue, Queue) else queue
    target = options.get("routing_key") or name or TASKS
    declare = [queue, wait_queue(seconds)] if isinstance(queue, Queue) else [wait_queue(seconds)]
    return options | {"exchange": exchange, "routing_key": target, "declare": declare, "exchange_type": "fanout"}


def postpone(app: Any, message: Message) -> bool:
    """Send a received message with an ETA to a queue in which it waits, and acknowledge it; return whether it waits.

    An ETA beyond the longest time is waited for in several steps.
    """
    headers = message.headers
    try:
        seconds = seconds_until(headers["eta"]) if headers.get("eta") else 0
    except (TypeError, ValueError):
        return False  # Celery refuses it.
    if seconds <= 0:
        return False
    key = (message.delivery_info or {}).get("routing_key")
    wait = longest_wait(seconds)
    properties = {name: message.properties[name] for name in PROPERTIES if message.properties.get(name) is not None}
    with app.amqp.producer_pool.acquire(block=True) as producer:
        producer.publish(
            message.body,
            exchange=wait_exchange(wait),
            routing_key=key if key in app.amqp.queues else TASKS,
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            headers={name: value for name, value in headers.items() if not name.startswith("x-")},
            declare=[wait_queue(wait)],
            retry=True,
            retry_policy={"max_retries": 3, "interval_start": 0, "interval_step": 0.2},
            **properties,
        )
    message.ack()
    return True
