"""Wait for an event, rather than for a time."""

import time
from collections.abc import Callable

TIMEOUT = 60.0
"""Seconds within which an event that a test waits for must happen."""
INTERVAL = 0.03
"""Seconds between two checks by default."""


class NeverHappenedError(AssertionError):
    """The event that a test waits for did not happen in time."""


def wait_until(happened: Callable[[], bool], event: str, timeout: float = TIMEOUT, interval: float = INTERVAL) -> None:
    """Wait until ``happened()``; ``timeout`` and ``interval``, between two checks, are in seconds.

    Raises:
        NeverHappenedError: it did not happen in time.
    """
    deadline = time.monotonic() + timeout
    while not happened():
        if time.monotonic() > deadline:
            msg = f"not within {timeout:g} s: {event}"
            raise NeverHappenedError(msg)
        time.sleep(interval)
