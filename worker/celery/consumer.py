"""A consumer that refuses malformed messages: one of them must not end the worker.

Celery trusts its messages: one without an id, or whose body is a number, ends the process that receives it, is
redelivered, and ends the next one. This consumer checks each message first.
"""

import json
import time
from collections.abc import Callable, Container, Mapping
from contextlib import suppress
from typing import Any, ClassVar

from celery import signals
from celery.app.task import Context
from celery.exceptions import InvalidTaskError, NotRegistered
from celery.utils.log import get_task_logger
from celery.worker.consumer import Consumer
from django.conf import settings
from kombu.exceptions import ContentDisallowed
from kombu.message import Message

from linking.bulk import is_storable
from worker.celery.connecting import prepare_broker
from worker.celery.waiting import is_on_rabbitmq, postpone
from worker.queue_names import BULK, EVENTS, RECOVERY, TASKS

log = get_task_logger(__name__)

BODY = "[args, kwargs, {callbacks, errbacks, chain, chord}]"
LIMITS = "[hard, soft], each null or a number of seconds above 0"
EVENTS_DELAY = 0.2
"""Seconds for which events are collected."""
MAX_EMBEDDED = 64 * 2**10
"""Bytes at the end of an oversized body in which its error callbacks are searched."""
MAX_COLUMN = 255
"""Characters that a task's id and names may have in the table of results."""
UNSTORABLE = f"no text that can be stored (1 to {MAX_COLUMN} characters, no NUL and no half of a surrogate pair)"
JSON_TYPES: dict[type, str] = {
    type(None): "missing or null",
    bool: "a boolean",
    **dict.fromkeys((int, float), "a number"),
    str: "a text",
    **dict.fromkeys((list, tuple), "a list"),
    dict: "an object",
}


class ValidatingConsumer(Consumer):
    """Refuses messages that Celery cannot process; the log and the task's result name the fault.

    It also collects events: Celery publishes those of a task one by one, in half of the time that its process has.
    """

    class Blueprint(Consumer.Blueprint):  # type: ignore[misc,valid-type] # celery-types calls it a variable
        """Celery's steps, without the one for ETAs on RabbitMQ: 28 queues that need another kind of exchange."""

        default_steps: ClassVar = [step for step in Consumer.Blueprint.default_steps if "delayed_delivery" not in step]

    hub: Any
    connection_errors: Any
    event_dispatcher: Any
    _events_due = 0.0
    """Time on the monotonic clock when the collected events are published."""

    def create_task_handler(self, *args: Any, **options: Any) -> Any:
        """Return the function that processes a message."""
        process = super().create_task_handler(*args, **options)

        def check_and_process(message: Message) -> None:
            if is_of_neighbour(message):
                self._leave_old_queue(message)
                return
            try:
                _check(message, self.app.tasks)
            except (InvalidTaskError, ContentDisallowed, NotRegistered) as fault:
                self.on_invalid_task(None, message, fault)
            else:
                if not (is_on_rabbitmq(self.app) and postpone(self.app, message)):
                    process(message)

        return check_and_process

    def connect(self) -> Any:
        """Connect to the broker, and check and prepare it."""
        connection = super().connect()
        prepare_broker(connection)
        return connection

    def _leave_old_queue(self, message: Message) -> None:
        """Return the task of another application that uses LINKING_OLD_QUEUE, and consume this queue no more."""
        queue = settings.LINKING_OLD_QUEUE
        if queue in self.app.amqp.queues.consume_from:
            text = (
                "the queue %s has tasks of another application: they are returned, and this worker no longer consumes"
                " the queue. Set LINKING_OLD_QUEUE= (empty), and let our callers send to %s."
            )
            log.error(text, queue, settings.LINKING_QUEUE)
            self.cancel_task_queue(queue)
        message.requeue()

    def on_send_event_buffered(self) -> None:  # type: ignore[override] # celery-types calls it a decorator
        """Publish an event with those that follow within EVENTS_DELAY; Celery publishes at once where there are 24."""
        now = time.monotonic()
        if self.hub and now >= self._events_due:
            self._events_due = now + EVENTS_DELAY
            self.hub.call_later(EVENTS_DELAY, self._publish_events)

    def shutdown(self) -> None:
        """Publish the collected events and end."""
        self._publish_events()
        super().shutdown()

    def _publish_events(self) -> None:
        if self.event_dispatcher:
            self.event_dispatcher.flush()

    def on_invalid_task(self, body: Any, message: Message, exc: Exception) -> None:
        """Log and drop a message, store its failure, and send its error callbacks, as far as they can be read."""
        log.error("Received invalid task message: %s\nThe message has been ignored and discarded.", exc, exc_info=exc)
        message.ack_log_error(log, self.connection_errors)  # Not rejected: RabbitMQ would keep it as a dead letter.
        signals.task_rejected.send(sender=self, message=message, exc=exc)
        headers, embedded = _readable_parts(message)
        task_id, task = headers.get("id"), headers.get("task")
        if isinstance(task_id, str) and isinstance(task, str):
            fields: dict[str, Any] = {name: headers.get(name) for name in ("root_id", "group", "group_index")}
            fields |= {"task": task if task in self.app.tasks else None, "argsrepr": None, "kwargsrepr": None}
            request = Context(id=task_id, delivery_info={}, **fields, **embedded)
            self.app.backend.mark_as_failure(task_id, exc, request=request, store_result=_is_column_text(task_id))


def is_of_neighbour(message: Message) -> bool:
    """Return whether a message of LINKING_OLD_QUEUE is a task of another application."""
    key = (message.delivery_info or {}).get("routing_key")
    if not settings.LINKING_OLD_QUEUE or key in {TASKS, BULK, RECOVERY, EVENTS}:
        return False
    task = message.headers.get("task") if isinstance(message.headers, Mapping) else None
    return isinstance(task, str) and not task.startswith("linking.")


def _check(message: Message, tasks: Container[str]) -> None:
    """Refuse a message that Celery would fail at; the error shows no value but a task's name: others name learners.

    Raises:
        InvalidTaskError: the message does not follow the protocol.
        ContentDisallowed: its serializer is not JSON.
        NotRegistered: there is no such task.
    """
    headers, embedded = message.headers, None
    size, limit = _size(message), settings.LINKING_MAX_REQUEST_BYTES
    if size > limit:
        msg = (
            f"the body has {size:,} bytes, more than LINKING_MAX_REQUEST_BYTES ({limit:,}): send it as several jobs, or"
            " import it as a file."
        )
        raise InvalidTaskError(msg)
    _require_type(Mapping, headers, "the headers are", "an object")
    match _payload(message):
        case [args, kwargs, embedded] if "task" in headers:
            pass
        case {"task": _} as body if "task" not in headers:  # Version 1 of Celery's protocol.
            headers, args, kwargs = body, body.get("args"), body.get("kwargs")
        case body:
            _require("task" not in headers, f"the body is {_json_type(body)}, not {BODY}")
            return  # Celery refuses a message without a task.
    for name in ("task", "id"):
        _require_type(str, headers.get(name), f"{name!r} is", "a text")
    _require(_is_column_text(headers["id"]), f"'id' is {UNSTORABLE}")
    _require(_is_column_text(headers.get("periodic_task_name") or "none"), f"'periodic_task_name' is {UNSTORABLE}")
    if headers["task"] not in tasks:
        raise NotRegistered(headers["task"])
    _require_type(list | tuple, args, "'args' is", "a list")
    _require_type(Mapping, kwargs, "'kwargs' is", "an object")
    _require_type(Mapping | None, embedded, "the third part of the body is", "an object")
    _require(_are_limits(headers.get("timelimit")), f"'timelimit' is not {LIMITS}")
    stamps = headers.get("stamped_headers")
    _require(_is_list_of(lambda stamp: isinstance(stamp, str), stamps), "'stamped_headers' is not a list of texts")
    options: Mapping[str, Any] = embedded or {}
    for name in ("callbacks", "errbacks", "chain"):
        _require(_is_list_of(_is_signature, options.get(name)), f"{name!r} is not a list of signatures")
    chord = options.get("chord")
    _require(chord is None or _is_signature(chord), f"'chord' is {_json_type(chord)}, not a signature")


def _payload(message: Message) -> Any:
    """Return the decoded body of a message.

    Raises:
        InvalidTaskError: it is not in JSON, or not in the encoding that the message names.
        ContentDisallowed: another serializer is named.
    """
    try:
        return message.payload
    except ContentDisallowed:
        raise
    except Exception:  # noqa: BLE001 - decoders raise many
        msg = "the body cannot be decoded: expected JSON, in the encoding that the message names (utf-8)."
        raise InvalidTaskError(msg) from None


def _readable_parts(message: Message) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """Return the headers of a refused message, and those of its error callbacks, chain and chord that are valid."""
    headers = message.headers if isinstance(message.headers, Mapping) else {}
    if _size(message) > settings.LINKING_MAX_REQUEST_BYTES:
        return headers, {"errbacks": _errbacks_at_end(message)}
    embedded: Any = None
    with suppress(InvalidTaskError, ContentDisallowed):
        match _payload(message):
            case [_, _, embedded]:
                pass
            case {"task": _} as body if "task" not in headers:
                headers = embedded = body
    if not isinstance(embedded, Mapping):
        return headers, {}
    found = {
        name: embedded.get(name) for name in ("errbacks", "chain") if _is_list_of(_is_signature, embedded.get(name))
    }
    return headers, found | {"chord": embedded.get("chord") if _is_signature(embedded.get("chord")) else None}


def _size(message: Message) -> int:
    return len(message.body or "")


def _errbacks_at_end(message: Message) -> list[Any] | None:
    """Return the error callbacks of a message that is too large to be decoded, where Celery's clients write them."""
    end = (message.body or "")[-MAX_EMBEDDED:]
    text = end if isinstance(end, str) else bytes(end).decode(errors="replace")
    _, callbacks, rest = text.rpartition('{"callbacks"')
    try:
        errbacks = json.loads((callbacks + rest).rstrip().removesuffix("]"))["errbacks"]
    except (KeyError, TypeError, ValueError):
        return None
    return errbacks if _is_list_of(_is_signature, errbacks) else None


def _require(valid: bool, fault: str) -> None:
    if not valid:
        msg = f"{fault}: docs/contract.md says what a message must hold."
        raise InvalidTaskError(msg)


def _require_type(kind: Any, value: Any, subject: str, expected: str) -> None:
    _require(isinstance(value, kind), f"{subject} {_json_type(value)}, not {expected}")


def _json_type(value: Any) -> str:
    return JSON_TYPES.get(type(value), type(value).__name__)


def _is_list_of(check: Callable[[Any], bool], value: Any) -> bool:
    return value is None or (isinstance(value, list | tuple) and all(map(check, value)))


def _is_column_text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_COLUMN and is_storable(value)


def _is_signature(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("task"), str)


def _are_limits(value: Any) -> bool:
    match value:
        case None:
            return True
        case [hard, soft]:
            return all(limit is None or (type(limit) in {int, float} and limit > 0) for limit in (hard, soft))
    return False
