"""Deliver events: in order for each user, at least once.

An event is removed when it is delivered: its receivers have returned, and the task of ``LINKING_EVENTS_TASK``, if there
is one, has acknowledged it.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from linking.outbox import batches, failures
from linking.outbox.lease import Lease, LeaseLostError
from linking.outbox.models import Event, EventBatch
from linking.outbox.ready import PAGE, Chunk, ReadyEvents
from linking.outbox.receivers import call_receivers, creation_times, describe, has_receivers

log = logging.getLogger(__name__)

Send = Callable[[UUID, list[dict[str, Any]]], None]
"""Send a batch with this id to the task; it raises if the broker did not accept it."""

SECONDS = 10.0
"""Seconds after which a run leaves the rest to the next."""
FAILURES_IN_A_ROW = 20
"""Failures without a success between them after which a run ends: more likely it is the receiver than its events."""
LOST = "the process ended while receivers were called with this event"


@dataclass(slots=True, kw_only=True)
class Delivery:
    """What a run did; ``more`` is true where it ran out of time before it ran out of events."""

    delivered: int = 0
    sent: int = 0
    failed: int = 0
    more: bool = False


def deliver(send: Send | None, *, seconds: float | None = None) -> Delivery | None:
    """Deliver events for so many seconds; return what was done, None if another process delivers.

    Args:
        send: sends a batch to the task of ``LINKING_EVENTS_TASK``; None: there is none.
        seconds: SECONDS, unless given.
    """
    lease = Lease.acquire()
    if lease is None:
        return None
    run = _Run(lease, send, time.monotonic() + (SECONDS if seconds is None else seconds))
    try:
        run.deliver()
    except LeaseLostError:
        log.warning("a run of the delivery of events took too long; another one continues")
        return run.done
    lease.release(delivered=bool(run.done.delivered or run.done.sent), interrupted=run.interrupted)
    return run.done


class _Run:
    """One run; the lease keeps the chunk that is being delivered if it ends by an error."""

    def __init__(self, lease: Lease, send: Send | None, until: float) -> None:
        self._lease, self._send, self._until = lease, send, until
        self._has_receivers = has_receivers()
        self._in_a_row = 0
        self.done = Delivery()
        self.interrupted = False  # Nothing can be delivered for now.

    def deliver(self) -> None:
        """Deliver all events, and those that are recorded meanwhile."""
        if self._send is None and not self._has_receivers:
            return
        while self._send is not None and not self.interrupted and (overdue := batches.claim_overdue()):
            self._send_batch(overdue, self._send)
        while not self.interrupted and self._deliver_all():
            pass

    def _deliver_all(self) -> bool:
        """Deliver all events that can be delivered now; return whether there were any, and time for more."""
        progress = False
        on_the_way = batches.events_on_the_way()
        room = batches.ON_THE_WAY - len(on_the_way)
        ready = ReadyEvents(PAGE if self._send is None else batches.SIZE, on_the_way)
        for chunk in self._parts(ready.chunks()):
            if self._send is not None and room < len(chunk):
                return False  # The next acknowledgement continues.
            events = self._call_receivers(chunk, ready) if self._has_receivers else [event for event, _ in chunk]
            progress |= bool(events)
            if events and self._send is not None:
                self._send_batch(batches.note_sent(events), self._send)
                room -= len(events)
                for event in events:
                    ready.block(event)
            elif events:
                failures.remove([event.pk for event in events])
                self.done.delivered += len(events)
            if self.interrupted:
                return False
            if time.monotonic() > self._until:
                self.done.more = True
                return False
        return progress

    def _parts(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        """Yield chunks, and each event alone of those that may have ended the process of another run."""
        for chunk in chunks:
            if self._has_receivers and self._is_suspect(chunk):
                yield from ([one] for one in chunk)
            else:
                yield chunk

    def _is_suspect(self, chunk: Chunk) -> bool:
        if chunk[0][1] is not None:
            return True
        return self._lease.suspect is not None and chunk[0][0].pk <= self._lease.suspect

    def _call_receivers(self, chunk: Chunk, ready: ReadyEvents) -> list[Event]:
        """Call the receivers of a chunk; return the events that are done with them."""
        is_suspect = self._is_suspect(chunk)
        if not is_suspect:
            self._lease.call(chunk[-1][0].pk)
        created = creation_times([event for event, _ in chunk])
        events, errors = list[Event](), dict[int, str]()
        for event, failure in chunk:
            if events and time.monotonic() > self._until:
                break
            if ready.waits(event):
                continue  # For one that has just failed.
            if failure is None or not failure.received:
                self._lease.check()
                if is_suspect:
                    self._note_failures({event.pk: LOST})  # Before it can end this process, too.
                if error := call_receivers(event, created):
                    ready.block(event)
                    errors[event.pk] = error
                    self._in_a_row += 1
                    if self._in_a_row < FAILURES_IN_A_ROW:
                        continue
                    self.interrupted = True
                    break
                self._in_a_row = 0
            events.append(event)
        if is_suspect:
            failures.note_errors(errors)
        else:
            self._note_failures(errors)
        return events

    def _note_failures(self, errors: dict[int, str]) -> None:
        if errors:
            failures.note_failures(errors)
            self.done.failed += len(errors)

    def _send_batch(self, batch: EventBatch, send: Send) -> None:
        """Send a batch; one that the broker does not accept is sent again by a later run."""
        events = batches.events_of(batch)
        if not events:
            batch.delete()
            return
        try:
            send(batch.pk, [event.as_json() for event in events])
        except Exception as error:  # noqa: BLE001 - kombu raises many
            log.warning("batch %s of %s events cannot be sent (%s)", batch.pk, len(events), describe(error))
            self.interrupted = True
        else:
            batches.note_accepted(batch)
            self.done.sent += len(events)
