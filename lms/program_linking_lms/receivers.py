"""Calls of the LMS's receivers: an error of one keeps no other from being called, and no event from its end.

The change that an event is about cannot be refused any more. So an error is logged, unless a repetition helps: then it
ends the event, whose transaction is rolled back, and the worker sends it again.
"""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from traceback import extract_tb
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded
from django.db import InterfaceError, OperationalError, transaction
from kombu.exceptions import OperationalError as BrokerError

log = logging.getLogger(__name__)

PASSING = (InterfaceError, BrokerError, ConnectionError, TimeoutError, SoftTimeLimitExceeded)
"""Errors after which a repetition helps."""
PASSING_MYSQL = frozenset({1040, 1053, 1158, 1159, 1160, 1161, 1205, 1213, 1290, 1836, 2002, 2003, 2006, 2013, 2055})
"""Numbers of MySQL's operational errors after which a repetition helps: locks, restarts, lost connections."""

Responses = Iterable[tuple[Any, Any]]
"""Receivers and what they returned or raised, as ``Signal.send_robust()`` returns them."""


def call(what: str, send: Callable[[], Responses | None]) -> None:
    """Call receivers within a savepoint: a statement that fails does no harm to what others have written.

    Args:
        what: what is sent, for the log.
        send: calls the receivers.

    Raises:
        Exception: that of a receiver, if a repetition helps.
    """
    try:
        with transaction.atomic():
            responses = list(send() or ())
    except Exception as error:  # noqa: BLE001 - receivers raise many
        responses = [(None, error)]
    for receiver, response in responses:
        if isinstance(response, Exception):
            if is_passing(response):
                raise response
            # Without the text of the error, which may name a learner.
            log.error("%s: %s raised %s; it is not repeated", what, _name(receiver), describe(response))


def is_passing(error: Exception) -> bool:
    """Return whether a repetition after a while may succeed."""
    if isinstance(error, OperationalError):
        number = error.args[0] if error.args else None
        return number in PASSING_MYSQL if isinstance(number, int) else True
    return isinstance(error, PASSING)


def describe(error: BaseException) -> str:
    """Return the type of an error and the place that raised it."""
    frames = extract_tb(error.__traceback__)
    place = f" in {Path(frames[-1].filename).name}:{frames[-1].lineno} ({frames[-1].name})" if frames else ""
    return f"{type(error).__name__}{place}"


def _name(receiver: Any) -> str:
    if receiver is None:
        return "the LMS"
    return f"{getattr(receiver, '__module__', '')}.{getattr(receiver, '__qualname__', type(receiver).__qualname__)}"
