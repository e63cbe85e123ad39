"""A consumer that refuses malformed messages: one of them must not end the worker.

Celery trusts its messages: one without an id, or whose body is a number, ends the process that receives it, is
redelivered, and ends the next one. This consumer checks each message first.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from celery.app.task import Context
from celery.exceptions import InvalidTaskError
from celery.worker.consumer import Consumer
from django.conf import settings
from kombu.message import Message

from worker.logs import HIDDEN

BODY = "[args, kwargs, {callbacks, errbacks, chain, chord}]"
LIMITS = "[hard, soft], each null or a number of seconds above 0"
MAX_EMBEDDED = 64 * 2**10
"""Bytes at the end of an oversized body in which its error callbacks are searched."""
JSON_TYPES: dict[type, str] = {
    type(None): "missing or null",
    bool: "a boolean",
    **dict.fromkeys((int, float), "a number"),
    str: "a text",
    **dict.fromkeys((list, tuple), "a list"),
    dict: "an object",
}


class ValidatingConsumer(Consumer):
    """Refuses messages that Celery cannot process; the log and the task's result name the fault."""

    def create_task_handler(self, *args: Any, **options: Any) -> Any:
        """Return the function that processes a message."""
        process = super().create_task_handler(*args, **options)

        def check_and_process(message: Message) -> None:
            try:
                _check(message)
            except InvalidTaskError as fault:
                self.on_invalid_task(None, message, fault)
            else:
                process(message)

        return check_and_process

    def on_invalid_task(self, body: Any, message: Message, exc: Exception) -> None:
        """Log and drop a message, and store its failure under its id."""
        super().on_invalid_task(HIDDEN, message, exc)
        headers = message.headers if isinstance(message.headers, Mapping) else {}
        task_id, task = headers.get("id"), headers.get("task")
        if isinstance(task_id, str) and isinstance(task, str):
            errbacks = _errbacks_at_end(message) if _size(message) > settings.LINKING_MAX_REQUEST_BYTES else None
            fields: dict[str, Any] = {"errbacks": errbacks, "root_id": task_id, "delivery_info": {}}
            request = Context(id=task_id, task=task, argsrepr=None, kwargsrepr=None, **fields)
            self.app.backend.mark_as_failure(task_id, exc, request=request)


def _check(message: Message) -> None:
    """Raise an InvalidTaskError where Celery would fail; it shows no value, since values may name learners.

    Celery itself refuses unknown tasks, other serializers and bodies that are not JSON.
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
    try:
        body = message.payload
    except Exception:  # noqa: BLE001 - any error of a decoder: Celery decodes again and refuses the message
        body = [[], {}, None]
    match body:
        case [args, kwargs, embedded] if "task" in headers:
            pass
        case {"task": _} if "task" not in headers:  # Version 1 of Celery's protocol.
            headers, args, kwargs = body, body.get("args"), body.get("kwargs")
        case _:
            _require("task" not in headers, f"the body is {_json_type(body)}, not {BODY}")
            return
    for name in ("task", "id"):
        _require_type(str, headers.get(name), f"{name!r} is", "a text")
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


def _is_signature(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("task"), str)


def _are_limits(value: Any) -> bool:
    match value:
        case None:
            return True
        case [hard, soft]:
            return all(limit is None or (type(limit) in {int, float} and limit > 0) for limit in (hard, soft))
    return False
