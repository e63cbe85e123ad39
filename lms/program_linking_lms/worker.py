"""Messages to the worker of program-linking."""

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
    options = {
        "args": arguments,
        "queue": settings.PROGRAM_LINKING_QUEUE,
        "serializer": "json",
        "argsrepr": HIDDEN,
        "kwargsrepr": HIDDEN,
        "ignore_result": True,
    }
    url = settings.PROGRAM_LINKING_BROKER_URL
    if not url:
        current_app.send_task(task, **options)
        return
    with Connection(url, connect_timeout=TIMEOUT) as connection:
        current_app.send_task(task, connection=connection, **options)
