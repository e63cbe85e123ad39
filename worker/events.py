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
from worker.celery.queues import IS_QUORUM
from worker.queue_names import EVENTS, TASKS

log = logging.getLogger(__name__)

INTERVAL = 1.0
"""Seconds in which a process asks for delivery once."""
REPLY_TO: dict[str, Any] = {"exchange": TASKS, "routing_key": TASKS} if IS_QUORUM else {"queue": TASKS}
"""Where acknowledgements are sent: not to a queue that their sender cannot declare."""

_requested = -INTERVAL
"""Time on the monotonic clock at which this process last asked for delivery."""


def send_events(batch_id: UUID, events: list[dict[str, Any]]) -> None:
    """Send a batch of events to the task of ``LINKING_EVENTS_TASK``, whose end acknowledges or refuses it.

    Celery sends callbacks to the broker of the task. If that is not ours, the task has to acknowledge by itself.

    Raises:
        Exception: the broker has not accepted the message.
    """
    batch = str(batch_id)
    options: dict[str, Any] = {"task_id": batch, "queue": settings.LINKING_EVENTS_QUEUE}
    arguments = {"batch": batch, "events": events}
    if settings.LINKING_EVENTS_BROKER_URL:
        with _connection(settings.LINKING_EVENTS_BROKER_URL) as connection:
            app.send_task(settings.LINKING_EVENTS_TASK, kwargs=arguments, connection=connection, **options)
        return
    app.send_task(
        settings.LINKING_EVENTS_TASK,
        kwargs=arguments,
        link=signature(ACKNOWLEDGE, (batch,), immutable=True, app=app).set(**REPLY_TO),
        link_error=signature(REFUSE, app=app).set(**REPLY_TO),  # Celery adds the id of the task.
        **options,
    )


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
