"""How events reach the task of ``LINKING_EVENTS_TASK``, and how their delivery is started."""

import logging
import time
from typing import Any
from uuid import UUID

from celery import signature
from django.conf import settings
from kombu import Connection

from worker.broker_urls import tls_options
from worker.celery.application import BROKER_TIMEOUT, app
from worker.celery.messages import ACKNOWLEDGE, DELIVER, REFUSE
from worker.celery.queues import foreign_queue
from worker.celery.waiting import is_on_rabbitmq
from worker.queue_names import EVENTS, TASKS

log = logging.getLogger(__name__)

INTERVAL = 1.0
"""Seconds in which a process asks for delivery once."""

_requested = -INTERVAL
"""Time on the monotonic clock at which this process last asked for delivery."""


def send_events(batch_id: UUID, events: list[dict[str, Any]]) -> None:
    """Send a batch of events to the task of ``LINKING_EVENTS_TASK``, whose end acknowledges or refuses it.

    Celery sends callbacks to the broker of the task. If that is not ours, the task has to acknowledge by itself.

    Raises:
        Exception: the broker has not accepted the message.
    """
    batch = str(batch_id)
    arguments: dict[str, Any] = {"kwargs": {"batch": batch, "events": events}, "task_id": batch}
    if settings.LINKING_EVENTS_BROKER_URL:
        with _connection(settings.LINKING_EVENTS_BROKER_URL) as connection:
            app.send_task(
                settings.LINKING_EVENTS_TASK,
                queue=_queue(connection.transport.driver_type == "amqp"),
                connection=connection,
                **arguments,
            )
        return
    # Each side declares its own queues only: on RabbitMQ a declaration with other arguments is refused.
    on_rabbitmq = is_on_rabbitmq(app)
    reply_to: dict[str, Any] = {"exchange": TASKS, "routing_key": TASKS} if on_rabbitmq else {"queue": TASKS}
    app.send_task(
        settings.LINKING_EVENTS_TASK,
        queue=_queue(on_rabbitmq),
        link=signature(ACKNOWLEDGE, (batch,), immutable=True, app=app).set(**reply_to),
        link_error=signature(REFUSE, app=app).set(**reply_to),  # Celery adds the id of the task.
        **arguments,
    )


def _queue(on_rabbitmq: bool) -> Any:
    name = settings.LINKING_EVENTS_QUEUE
    return foreign_queue(name) if on_rabbitmq else name


def _connection(url: str) -> Connection:
    """Return a connection to the broker of the task, with the options that ours has for its kind."""
    timeouts = {"socket_connect_timeout": BROKER_TIMEOUT, "socket_timeout": BROKER_TIMEOUT}
    is_rabbitmq = url.startswith(("amqp", "pyamqp"))
    options = {"confirm_publish": True} if is_rabbitmq else timeouts
    return Connection(url, connect_timeout=BROKER_TIMEOUT, transport_options=options, ssl=tls_options(url) or False)


def request_delivery() -> None:
    """Ask for the delivery of events that were written; beat does it in any case, some seconds later."""
    global _requested  # noqa: PLW0603 - of this process
    now = time.monotonic()
    if not settings.LINKING_EVENTS or now - _requested < INTERVAL:
        return
    _requested = now
    try:
        app.send_task(DELIVER, queue=EVENTS, expires=INTERVAL * 10)
    except Exception as error:  # noqa: BLE001 - kombu raises many
        log.warning("delivery of events is left to beat: no message can be sent (%s)", type(error).__name__)
