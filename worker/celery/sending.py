"""Messages that callers ask for: one that cannot be sent is distinguished from a broker that is away."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, cast
from uuid import UUID, uuid4

from django.db import Error as DatabaseFault
from kombu import Exchange, Producer, Queue

from linking.bulk import is_transient
from worker import jobs
from worker.celery.application import BROKER_TIMEOUT, app
from worker.queue_names import TASKS

if TYPE_CHECKING:
    from worker.celery.messages import JsonAMQP

log = logging.getLogger(__name__)


def send_or_find_fault(send: Callable[[], object]) -> str | None:
    """Call ``send``; return the name of its exception's type if the message is at fault, and None if it was sent.

    An exception does not show which is at fault: kombu does not always raise its own errors when a broker goes away,
    and raises them for a queue that the broker refuses. So the broker is asked. If it takes messages, ``send`` is
    called a second time, in case the broker was away for a moment only.

    Raises:
        Exception: that of ``send``, if the broker takes no messages or the database is away.
    """
    amqp = cast("JsonAMQP", app.amqp)
    published = amqp.published
    for is_last in (False, True):
        try:
            send()
        except DatabaseFault as error:
            if is_transient(error):
                raise
            return type(error).__name__
        except Exception as error:
            if not is_broker_accepting():
                raise
            if is_last or amqp.published != published:  # A group of which a part was sent is not sent twice.
                return type(error).__name__
        else:
            break
    return None


def note_fault(task_id: str, message: str, fault: str) -> None:
    """Log, and note on the job of a task id if there is one, that a message asked for by its sender cannot be sent.

    Args:
        task_id: the task id of the sender's request.
        message: the message, as people call it: it must not quote the signature.
        fault: name of the exception's type.
    """
    log.warning("task %s: %s cannot be sent (%s)", task_id, message, fault)
    try:
        job_id = UUID(task_id)
    except ValueError:
        return
    jobs.note(job_id, f"{message} cannot be sent ({fault}): its sender must correct it")


def is_broker_accepting() -> bool:
    """Return whether the broker takes a message, shown by one in a queue that is deleted again."""
    timeouts = {"socket_connect_timeout": BROKER_TIMEOUT, "socket_timeout": BROKER_TIMEOUT}  # Redis has no other.
    try:
        with app.connection_for_write(connect_timeout=BROKER_TIMEOUT, transport_options=timeouts) as connection:
            connection.ensure_connection(max_retries=1, timeout=BROKER_TIMEOUT)
            channel = connection.default_channel
            queue = Queue(f"{TASKS}.probe.{uuid4()}", Exchange(""), exclusive=True)(channel)
            queue.declare()
            Producer(channel).publish("", routing_key=queue.name)
            queue.delete()
    except Exception:  # noqa: BLE001 - whatever it is, no message was taken
        return False
    return True
