"""The part of a worker that takes messages from the broker: one that no task can take must not end the worker.

Celery trusts what it is sent: a message without an id, or whose body is a number, ends the process that takes it, comes
back, and ends the next one. Here messages are looked at first.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from celery.app.task import Context
from celery.exceptions import InvalidTaskError
from celery.worker.consumer import Consumer
from kombu.message import Message

REMEDY = "docs/contract.md says what a message must hold"
BODY = "[args, kwargs, {callbacks, errbacks, chain, chord}]"
KINDS: dict[type, str] = {
    type(None): "missing or null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a text",
    list: "a list",
    tuple: "a list",
    dict: "an object",
}


class ValidatingConsumer(Consumer):
    """Takes what Celery can take and refuses the rest; log and result tell why."""

    def create_task_handler(self, *args: Any, **options: Any) -> Any:
        """Return the function that takes a message."""
        take = super().create_task_handler(*args, **options)

        def take_or_refuse(message: Message) -> None:
            if fault := next(_faults(message), None):
                self.on_invalid_task(None, message, InvalidTaskError(f"{fault}: {REMEDY}."))
            else:
                take(message)

        return take_or_refuse

    def on_invalid_task(self, body: Any, message: Message, exc: Exception) -> None:
        """Log and drop a message, and store its failure under its id."""
        super().on_invalid_task(body, message, exc)
        headers = message.headers if isinstance(message.headers, Mapping) else {}
        task_id, task = headers.get("id"), headers.get("task")
        if isinstance(task_id, str) and isinstance(task, str):
            request = Context(id=task_id, task=task, errbacks=None, argsrepr=None, kwargsrepr=None)
            self.app.backend.mark_as_failure(task_id, exc, request=request)


def _faults(message: Message) -> Iterator[str]:
    """Tell what Celery would stumble over in a message.

    What it refuses by itself is left to it: unknown tasks, pickles, bytes that are no JSON. Values are not told: they
    may name learners.
    """
    headers = message.headers
    if not isinstance(headers, Mapping):
        yield f"the headers are {_kind(headers)}, not an object"
    elif "task" in headers:
        yield from _faults_of_fields(headers)
        yield from _faults_of_body(_body(message, [[], {}, None]))
    elif isinstance(body := _body(message, None), Mapping) and "task" in body:  # Version 1 of Celery's protocol.
        yield from _faults_of_fields(body)
        yield from _faults_of_arguments(body.get("args"), body.get("kwargs"))


def _body(message: Message, unreadable: Any) -> Any:
    try:
        return message.payload
    except Exception:  # noqa: BLE001 - whatever a decoder raises: Celery decodes again, and tells
        return unreadable


def _faults_of_fields(fields: Mapping[str, Any]) -> Iterator[str]:
    for name in ("task", "id"):
        if not isinstance(fields.get(name), str):
            yield f"{name!r} is {_kind(fields.get(name))}, not a text"
    limits, stamps = fields.get("timelimit"), fields.get("stamped_headers")
    if limits is not None and not (_is_list(limits) and len(limits) == len("hs") and all(map(_is_limit, limits))):
        yield "'timelimit' is not [hard, soft], each null or a number of seconds above 0"
    if stamps is not None and not (_is_list(stamps) and all(isinstance(name, str) for name in stamps)):
        yield "'stamped_headers' is not a list of texts"


def _faults_of_body(body: Any) -> Iterator[str]:
    if not _is_list(body) or len(body) != len(("args", "kwargs", "embedded")):
        yield f"the body is {_kind(body)}, not {BODY}"
        return
    args, kwargs, embedded = body
    yield from _faults_of_arguments(args, kwargs)
    if not isinstance(embedded, Mapping | None):
        yield f"the third part of the body is {_kind(embedded)}, not an object"
        return
    for name in ("callbacks", "errbacks", "chain"):
        given = (embedded or {}).get(name)
        if given is not None and not (_is_list(given) and all(map(_is_signature, given))):
            yield f"{name!r} is not a list of signatures"
    chord = (embedded or {}).get("chord")
    if chord is not None and not _is_signature(chord):
        yield f"'chord' is {_kind(chord)}, not a signature"


def _faults_of_arguments(args: Any, kwargs: Any) -> Iterator[str]:
    if not _is_list(args):
        yield f"'args' is {_kind(args)}, not a list"
    if not isinstance(kwargs, Mapping):
        yield f"'kwargs' is {_kind(kwargs)}, not an object"


def _is_list(given: Any) -> bool:
    return isinstance(given, list | tuple)


def _is_limit(seconds: Any) -> bool:
    return seconds is None or (type(seconds) in {int, float} and seconds > 0)


def _is_signature(given: Any) -> bool:
    return isinstance(given, Mapping) and isinstance(given.get("task"), str)


def _kind(value: Any) -> str:
    return KINDS.get(type(value), type(value).__name__)
