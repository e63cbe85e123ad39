"""Bodies of requests: JSON objects of bounded size, read only after the client is authenticated."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from threading import Lock
from typing import Any, NoReturn

from django.conf import settings
from django.http import HttpRequest, UnreadablePostError

from worker.web.api.problems import ProblemError, retry_after

LARGE = 2**20
"""Bytes above which bodies are processed one at a time in a process: one needs six times its size in memory at most."""
BUSY_RETRY_AFTER = 5
"""Seconds after which to repeat a request that found another large one: a mapping of 100,000 learners takes about 4."""
STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
"""Strings of JSON; without backtracking, which would take memory for each of a hundred thousand."""
MAX_VALUES = 4
"""Keys and values of a body, at most, by LINKING_MAX_MAPPING: twice those of the largest mapping."""
SPARE_VALUES = 100
"""Keys and values beyond these, for the options."""
SPARE_BRACKETS = 100
"""Most objects and lists of a body. A submission has two objects."""

_large_body = Lock()


@contextmanager
def bounded_memory(request: HttpRequest) -> Iterator[None]:
    """Bound the memory that bodies take: only one large body at a time, read and written into the ledger.

    Raises:
        ProblemError: the body is too large, or this process is busy with another large one.
    """
    if _length(request) <= LARGE:
        yield
        return
    if not _large_body.acquire(blocking=False):  # A thread that waits could serve no one else.
        msg = "another large request is being processed: repeat this one, with its Idempotency-Key."
        raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, msg, retry_after(BUSY_RETRY_AFTER))
    try:
        yield
    finally:
        _large_body.release()


def read_json_object(request: HttpRequest) -> dict[str, Any]:
    """Return the JSON object in the body of a request.

    Raises:
        ProblemError: the body is too large, not JSON, or not an object, or has a key twice.
    """
    if request.content_type != "application/json" or "Content-Encoding" in request.headers:
        msg = "the body must be JSON, with Content-Type: application/json and without Content-Encoding."
        raise ProblemError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, msg)
    try:
        content = json.loads(_read_text(request), object_pairs_hook=_distinct, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        detail = f"the body is not JSON: {error.msg} (line {error.lineno}, column {error.colno})."
    except UnicodeDecodeError as error:
        detail = f"the body is not UTF-8 (byte {error.start + 1})."
    except (RecursionError, ValueError):
        detail = "the body has a value that is no JSON, a number that is too long, or is nested too deeply."
    else:
        if isinstance(content, dict):
            return content
        detail = f"the body is a {type(content).__name__}: expected an object with the arguments by name."
    raise ProblemError(HTTPStatus.BAD_REQUEST, detail)


def _length(request: HttpRequest) -> int:
    """Return the announced length of the body; refuse one above LINKING_MAX_REQUEST_BYTES before it is read."""
    announced = request.headers.get("Content-Length", "")
    if not re.fullmatch("[0-9]{1,18}", announced) or "Transfer-Encoding" in request.headers:
        msg = "send the body with Content-Length, not in chunks."
        raise ProblemError(HTTPStatus.LENGTH_REQUIRED, msg)
    if (length := int(announced)) > settings.LINKING_MAX_REQUEST_BYTES:
        msg = (
            f"the body has {length:,} bytes, more than LINKING_MAX_REQUEST_BYTES"
            f" ({settings.LINKING_MAX_REQUEST_BYTES:,}): send it as several jobs, or import it as a file."
        )
        raise ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, msg)
    return length


def _read_text(request: HttpRequest) -> str:
    length = _length(request)
    try:
        body = request.read(length)
    except UnreadablePostError:
        body = b""
    if len(body) < length:
        msg = "the body ended before its Content-Length."
        raise ProblemError(HTTPStatus.BAD_REQUEST, msg)
    _check_content(body)
    return body.decode()


def _check_content(body: bytes) -> None:
    """Refuse a body that would take many times its size in memory: millions of short values, or of empty lists."""
    rest = STRINGS.sub(b"", body)
    values, brackets = rest.count(b",") + rest.count(b":"), rest.count(b"{") + rest.count(b"[")
    if values > MAX_VALUES * settings.LINKING_MAX_MAPPING + SPARE_VALUES or brackets > SPARE_BRACKETS:
        msg = (
            f"the body has more values than a mapping of LINKING_MAX_MAPPING ({settings.LINKING_MAX_MAPPING:,})"
            " entries and its options: send it as several jobs, or import it as a file."
        )
        raise ProblemError(HTTPStatus.BAD_REQUEST, msg)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object of these pairs; refuse a key that it has twice, without naming it: it may be a learner's."""
    content = dict(pairs)
    if len(content) < len(pairs):
        first: dict[str, int] = {}
        for entry, (key, _) in enumerate(pairs, 1):
            if (before := first.setdefault(key, entry)) < entry:
                msg = f"an object in the body has the same key in its entries {before} and {entry}: give it once."
                raise ProblemError(HTTPStatus.BAD_REQUEST, msg)
    return content


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError
