"""Loaded into a worker (``celery -I``): a receiver of events that is slow, raises, hangs and may be killed.

It appends a line for each event that it has processed to the file of ``EVENTS_FILE``. Time limits are seconds, not
minutes.
"""

import os
import time
from pathlib import Path
from random import Random
from typing import Any

from linking.outbox import delivery, failures, lease
from worker.tasks import deliver_events

chance = Random()  # noqa: S311 - no secret
FILE = os.environ.get("EVENTS_FILE", "")
RAISES, HANGS = (float(os.environ.get(name, "0")) for name in ("EVENTS_RAISE", "EVENTS_HANG"))
"""Shares of calls that raise, or take for ever."""

if FILE:
    lease.TIME_LIMIT, lease.MARGIN, delivery.SECONDS = 2, 1, 1.0
    failures.FIRST_PAUSE, failures.ATTEMPTS = 0.1, 1_000
    failures.LONGEST_PAUSE = 0.5
    deliver_events.time_limit = 2


def note(event: Any, **_: Any) -> None:
    """Write the event and the process, before or after what fails."""
    if chance.random() < RAISES:
        msg = "the receiver is away"
        raise ConnectionError(msg)
    if chance.random() < HANGS:
        time.sleep(60)
    with Path(FILE).open("a") as file:
        file.write(f"{event.uuid} {os.getpid()}\n")
    time.sleep(chance.random() / 500)
