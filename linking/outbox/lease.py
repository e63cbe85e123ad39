"""The lease on delivery: one process at a time delivers events, so that each user's arrive in order."""

import random
import time
from datetime import timedelta
from typing import Self
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from linking.outbox.models import DeliveryLease

TIME_LIMIT = 60
"""Seconds after which a process that delivers must have ended: the time limit of its task."""
MARGIN = 10
"""Seconds by which the lease outlasts the time limit."""
LONGEST_PAUSE = 300.0
"""Most seconds between two runs while nothing can be delivered."""
ROW = 1


class LeaseLostError(Exception):
    """The lease has ended: another process may deliver."""


class Lease:
    """The lease, held by this process; ``suspect`` is the last event that its predecessor was delivering when it died.

    A run must end ``TIME_LIMIT`` seconds after it began, by itself or killed; another process waits until then.
    """

    def __init__(self, holder: UUID, row: DeliveryLease, ends: float) -> None:
        self._holder = holder
        self._ends = ends  # On the monotonic clock: a frozen process must not go on.
        self._interruptions = row.interruptions
        self.suspect = row.calling

    @classmethod
    def acquire(cls) -> Self | None:
        """Return the lease; None if another process holds it, or a pause after failures is not over."""
        ends = time.monotonic() + TIME_LIMIT
        now, holder = timezone.now(), uuid4()
        until = now + timedelta(seconds=TIME_LIMIT + MARGIN)
        with transaction.atomic():
            DeliveryLease.objects.bulk_create([DeliveryLease(pk=ROW, until=now)], ignore_conflicts=True)
            if not DeliveryLease.objects.filter(pk=ROW, until__lte=now).update(holder=holder, until=until):
                return None
            row = DeliveryLease.objects.get(pk=ROW)
        return cls(holder, row, ends)

    def check(self) -> None:
        """Raise LeaseLostError if the run has taken too long."""
        if time.monotonic() > self._ends:
            raise LeaseLostError

    def call(self, last: int) -> None:
        """Write that the receivers of events up to ``last`` are being called now."""
        self.check()
        if not self._row().update(calling=last):
            raise LeaseLostError
        self.suspect = None

    def release(self, *, delivered: bool, interrupted: bool) -> None:
        """End the lease; with ``interrupted``, the next run begins after a pause that grows until one delivers."""
        count = 0 if delivered or not interrupted else min(self._interruptions + 1, 20)
        pause = min(2.0**count, LONGEST_PAUSE) * random.uniform(0.5, 1) if interrupted else 0.0  # noqa: S311 - jitter
        until = timezone.now() + timedelta(seconds=pause)
        self._row().update(holder=None, until=until, calling=None, interruptions=count)

    def _row(self) -> QuerySet[DeliveryLease]:
        return DeliveryLease.objects.filter(pk=ROW, holder=self._holder)
