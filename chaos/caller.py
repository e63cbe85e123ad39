"""A service that sends requests and collects the calls of its callbacks."""

import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from amqp.exceptions import AMQPError
from celery import Celery
from celery.canvas import Signature
from kombu import Connection, Consumer, Exchange, Queue
from kombu.exceptions import OperationalError
from kombu.message import Message
from redis.exceptions import RedisError

from chaos.brokers.interface import RECOVERY, TASKS, Broker

LINK = "linking.link_program_enrollments"
RESULTS, FAILURES = "results", "failures"
"""The caller's queues for its callbacks."""
BROKER_ERRORS = (OperationalError, AMQPError, RedisError, OSError)


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
        broker: the broker.
        program: UUID of the program.
    """

    def __init__(self, broker: Broker, program: str) -> None:
        self.results: dict[str, list[Any]] = defaultdict(list)
        self.failures: dict[str, list[Any]] = defaultdict(list)
        self._program = program
        self._broker = broker
        url = broker.url()
        self._app = Celery(broker=url, set_as_current=False)
        self._app.conf.update(broker_read_url=url, broker_write_url=url, **broker.client_settings)
        self._closed = threading.Event()
        self._listener = threading.Thread(target=self._listen, name="callbacks")
        self._listener.start()

    def close(self) -> None:
        """Stop listening."""
        self._closed.set()
        self._listener.join()
        self._app.close()

    def send(self, request: Request) -> None:
        """Send a request.

        Raises:
            BROKER_ERRORS: the broker has not accepted it.
        """
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
            **self._broker.route(TASKS[0]),
        )

    def send_recovery(self) -> None:
        """Send the recovery task, as beat does."""
        self._app.send_task(RECOVERY, ignore_result=True, expires=30, **self._broker.route("linking.recovery"))

    def _listen(self) -> None:
        queues = [Queue(name, Exchange(""), name) for name in (RESULTS, FAILURES)]
        while not self._closed.wait(0.05):
            with (
                suppress(*BROKER_ERRORS),
                Connection(self._broker.url(), connect_timeout=5) as connection,
                Consumer(connection, queues, on_message=self._receive),
            ):
                while not self._closed.is_set():
                    with suppress(TimeoutError):
                        connection.drain_events(timeout=1)

    def _receive(self, message: Message) -> None:
        (first, *_), _, _ = message.payload
        if (message.delivery_info or {}).get("routing_key") == RESULTS:
            self.results[message.headers["parent_id"]].append(first)
        else:
            self.failures[str(first)].append(first)
        message.ack()
