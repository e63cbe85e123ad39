"""Messages to the worker of program-linking."""

from typing import Any

from celery import current_app
from django.conf import settings
from kombu import Connection

ACKNOWLEDGE, REFUSE = "linking.acknowledge_events", "linking.refuse_events"
FORGET = "linking.forget_learner"
TIMEOUT = 5.0
"""Seconds that the worker's broker has to accept a connection."""
HIDDEN = "(hidden)"


def send_to_worker(task: str, *arguments: str) -> None:
    """Send a task to the worker, by its broker or by the LMS's own if these are the same.

    Its arguments may name a person, so no log or monitor gets them: Celery would write them into the headers.

    Raises:
        kombu.exceptions.OperationalError: the broker does not answer.
    """
    url = settings.PROGRAM_LINKING_BROKER_URL
    with Connection(url, connect_timeout=TIMEOUT) if url else current_app.connection_for_write() as connection:
        current_app.send_task(
            task,
            args=arguments,
            connection=connection,
            serializer="json",
            argsrepr=HIDDEN,
            kwargsrepr=HIDDEN,
            ignore_result=True,
            **_route(connection),
        )


def _route(connection: Connection) -> dict[str, Any]:
    """Return how the worker's queue is reached: RabbitMQ would refuse our declaration of a quorum queue."""
    queue = settings.PROGRAM_LINKING_QUEUE
    if connection.transport.driver_type == "amqp":
        return {"exchange": queue, "routing_key": queue}
    return {"queue": queue}
