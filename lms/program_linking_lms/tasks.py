"""The task of ``LINKING_EVENTS_TASK``."""

import logging
import time
from typing import Any

from celery import shared_task
from django.conf import settings

from program_linking_lms.events import Event
from program_linking_lms.worker import ACKNOWLEDGE, REFUSE, send_to_worker

log = logging.getLogger(__name__)

PURGE_INTERVAL = 3600.0
"""Seconds between two removals of old ids by a process."""

_purged = -PURGE_INTERVAL
"""Time on the monotonic clock of this process's last removal."""


@shared_task(name="program_linking_lms.receive_events", bind=True, acks_late=True, ignore_result=True)
def receive_events(self: Any, /, batch: str, events: list[dict[str, Any]], **_: Any) -> None:
    """Process a batch of events in their order; those that were processed before are skipped.

    Raises:
        Exception: a repetition helps. The worker sends each event again by itself, after a pause.
    """
    # A worker with another broker sends no callbacks: Celery would send them to the LMS's broker.
    must_acknowledge = bool(settings.PROGRAM_LINKING_BROKER_URL) and not self.request.callbacks
    try:
        done = _process_all(events)
    except Exception:
        if must_acknowledge:
            send_to_worker(REFUSE, batch)
        raise
    if must_acknowledge:
        send_to_worker(ACKNOWLEDGE, batch)
    log.info("batch %s: %s of %s events were new", batch, done, len(events))
    _purge_now_and_then()


def _process_all(events: list[dict[str, Any]]) -> int:
    from program_linking_lms.processing import process  # noqa: PLC0415 - models need all applications

    return sum([process(Event.from_json(values)) for values in events])


def _purge_now_and_then() -> None:
    from program_linking_lms.processing import purge  # noqa: PLC0415 - as above

    global _purged  # noqa: PLW0603 - of this process
    if time.monotonic() - _purged > PURGE_INTERVAL:
        _purged = time.monotonic()
        purge()
