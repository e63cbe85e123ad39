"""Delivery of events."""

import logging
from uuid import UUID

from django.conf import settings

from linking import events
from worker.celery.application import app
from worker.celery.messages import ACKNOWLEDGE, DELIVER, REFUSE
from worker.events import request_delivery, send_events
from worker.queue_names import EVENTS

log = logging.getLogger(__name__)


@app.task(name=DELIVER, ignore_result=True, time_limit=events.TIME_LIMIT)
def deliver_events() -> None:
    """Deliver events for some seconds, unless another process does."""
    if not settings.LINKING_EVENTS:
        return
    done = events.deliver(send_events if settings.LINKING_EVENTS_TASK else None)
    if done is not None and done.more:
        deliver_events.apply_async(queue=EVENTS)  # Behind what waits by now.


@app.task(name=ACKNOWLEDGE, ignore_result=True, throws=(ValueError,))
def acknowledge_events(batch: str) -> None:
    """Remove the events of a batch, which the task of ``LINKING_EVENTS_TASK`` has processed."""
    if events.acknowledge(UUID(batch)):
        request_delivery()


@app.task(name=REFUSE, ignore_result=True, throws=(ValueError,))
def refuse_events(batch: str) -> None:
    """Try the events of a batch again, each alone: the task of ``LINKING_EVENTS_TASK`` has failed."""
    if events.refuse(UUID(batch), f"the task {settings.LINKING_EVENTS_TASK} failed (batch {batch})"):
        log.warning("batch %s of events was refused: its events are sent again, each alone", batch)
