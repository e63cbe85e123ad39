"""Requests of private tasks hide their arguments and results from events, logs and inspections."""

import logging
import sys
from typing import Any

import pytest
from celery.app.amqp import AMQP
from django.db import IntegrityError
from kombu.message import Message
from kombu.serialization import dumps
from kombu.utils.imports import symbol_by_name

from worker.celery import app
from worker.celery.request import RedactedRequest
from worker.logs import HIDDEN, RedactDatabaseErrors

SECRET = "nobody-may-see"
PRIVATE = ("linking.link_program_enrollments", "linking.finish_job")


class Events:
    """An event dispatcher that keeps what it is given."""

    enabled = True

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def send(self, type: str, **fields: Any) -> None:
        self.sent.append((type, fields))


def request_of(task: str, eventer: Events | None = None) -> RedactedRequest:
    """Return the request that a worker makes of a message that names a learner."""
    kwargs = {"external_keys_to_usernames": {SECRET: SECRET}}
    sent = AMQP(app).as_task_v2("b9c5c7a8-5f0a-4c53-8a3c-6f6f0f2b2d11", task, (SECRET,), kwargs)
    content_type, encoding, body = dumps(sent.body, serializer="json")
    message = Message(
        body=body,
        headers=sent.headers,
        properties=sent.properties,
        content_type=content_type,
        content_encoding=encoding,
        delivery_info={},
        accept=["application/json"],
    )
    assert SECRET in sent.headers["argsrepr"]
    assert SECRET in sent.headers["kwargsrepr"]
    return RedactedRequest(message, app=app, task=app.tasks[task], eventer=eventer, hostname="worker@host")


def test_a_traceback_in_the_log_has_no_text_of_a_database_error() -> None:
    def write() -> None:
        raise IntegrityError(SECRET)

    def fail() -> None:
        try:
            write()
        except IntegrityError as error:
            msg = "the learner cannot be written"
            raise RuntimeError(msg) from error

    try:
        fail()
    except RuntimeError as error:
        record = logging.LogRecord("any", logging.ERROR, "", 1, "%s", (error.__cause__,), sys.exc_info())
    RedactDatabaseErrors().filter(record)

    text = logging.Formatter().format(record)
    assert "the learner cannot be written" in text
    assert text.count("IntegrityError (hidden") == text.count("IntegrityError: (hidden") == 1
    assert SECRET not in text.replace("raise IntegrityError(SECRET)", "")


@pytest.fixture(autouse=True)
def _tasks() -> None:
    app.loader.import_default_modules()


@pytest.mark.parametrize("task", PRIVATE)
def test_a_request_shows_its_arguments_to_nobody_but_the_task(task: str) -> None:
    request = request_of(task)

    assert issubclass(symbol_by_name(app.tasks[task].Request), RedactedRequest)
    assert request.args == [SECRET]
    assert request.kwargs == {"external_keys_to_usernames": {SECRET: SECRET}}
    assert (request.argsrepr, request.kwargsrepr) == (HIDDEN, HIDDEN)
    assert SECRET not in f"{request!r} {request}"
    for_the_pool_child = request.request_dict  # The result backend gets it too.
    assert (for_the_pool_child["argsrepr"], for_the_pool_child["kwargsrepr"]) == (HIDDEN, HIDDEN)


@pytest.mark.parametrize("safe", [False, True])
def test_an_inspection_of_the_worker_shows_no_argument(safe: bool) -> None:
    info = request_of(PRIVATE[0]).info(safe=safe)

    assert (info["args"], info["kwargs"]) == (HIDDEN, HIDDEN)
    assert info["name"] == PRIVATE[0]


def test_an_event_carries_no_result() -> None:
    events = Events()
    request = request_of(PRIVATE[1], events)

    request.send_event("task-succeeded", result=f"{{'{SECRET}': 'No user found'}}", runtime=0.5)
    request.send_event("task-failed", exception="ValueError('program_uuid is not a UUID')")

    (succeeded, success), (failed, failure) = events.sent
    assert (succeeded, success["result"], success["runtime"]) == ("task-succeeded", HIDDEN, 0.5)
    assert (failed, failure["exception"]) == ("task-failed", "ValueError('program_uuid is not a UUID')")
