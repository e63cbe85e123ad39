"""A backlog of large jobs, and small jobs and the sweeper beside it."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median, quantiles

from django.db import connection
from django.utils import timezone

from tests.support.populations import add_learners
from tests.support.service import Service, result_of
from tests.support.waiting import wait_until
from worker.models import LinkingJob, RouteMarker

JOBS, LEARNERS, SLICE_SIZE = int(os.environ.get("TESTS_BACKLOG_JOBS", "20")), 110, 10
SECONDS = 0.08
"""Added time of a slice: that of 150 learners. Eleven slices a job keep two processes busy for half a second."""
MAX_SECONDS = 4
"""Most seconds that a small job or a sweep may take."""
MIN_SMALL_JOBS = 8
"""Fewer small jobs beside the backlog would show nothing."""
SLOW = f"""
    CREATE FUNCTION slow_slice() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        PERFORM pg_sleep({SECONDS}); RETURN NEW;
    END $$;
    CREATE TRIGGER slow_slice BEFORE UPDATE ON worker_jobslice FOR EACH ROW
    WHEN (OLD.finished IS NULL AND NEW.finished IS NOT NULL AND NEW.total > 1) EXECUTE FUNCTION slow_slice();
"""
NORMAL = "DROP TRIGGER slow_slice ON worker_jobslice; DROP FUNCTION slow_slice"


@contextmanager
def slow_slices() -> Iterator[None]:
    """Let a slice of more than one learner take SECONDS longer."""
    with connection.cursor() as cursor:
        cursor.execute(SLOW)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(NORMAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkedOff:
    """A backlog that was worked off.

    Attributes:
        small: seconds from the request of each small job to its result.
        sweeps: seconds from the message of each sweep until a marker that it sent was received.
    """

    small: list[float]
    sweeps: list[float]


def work_off_backlog(service: Service) -> WorkedOff:
    """Send a backlog; until it is worked off, send small jobs and start the sweeper again and again."""
    jobs = [service.link(add_learners(LEARNERS), learners_per_subtask=SLICE_SIZE) for _ in range(JOBS)]
    wait_until(lambda: LinkingJob.objects.exclude(dispatched=None).count() == JOBS, "the backlog is queued")
    open_jobs = LinkingJob.objects.filter(pk__in=jobs, notified=None)
    small, sweeps = [], []
    while open_jobs.exists():
        began, sent = time.monotonic(), timezone.now()
        service.send("linking.resume_stalled_jobs", queue="linking.recovery", expires=30)
        marker = RouteMarker.objects.filter(name="linking:0", sent__gt=sent)
        # With no open job, a sweep sends no marker.
        wait_until(lambda: marker.exists() or not open_jobs.exists(), "a sweep ran", interval=0.01)  # noqa: B023 - called at once
        if not marker.exists():
            break
        sweeps.append(time.monotonic() - began)
        mapping = add_learners(1)
        began = time.monotonic()
        assert result_of(service.link(mapping)) == {}
        small.append(time.monotonic() - began)
    return WorkedOff(small=small, sweeps=sweeps)


def assert_worked_off_once(worked_off: WorkedOff) -> None:
    """Assert that no job was sent twice, and that neither small jobs nor sweeps waited for the backlog."""
    assert not LinkingJob.objects.filter(resumes__gt=0).exists(), "only recovery sends a slice again"
    assert set(LinkingJob.objects.values_list("state", flat=True)) == {"done"}
    assert len(worked_off.small) >= MIN_SMALL_JOBS
    # The backlog takes ten seconds. On a busy machine, single jobs may take longer than one second.
    for seconds in (worked_off.small, worked_off.sweeps):
        assert median(seconds) < 1, sorted(seconds)
        assert max(seconds) < MAX_SECONDS, sorted(seconds)[-5:]
        if len(seconds) >= 100:
            assert quantiles(seconds, n=100)[-1] < 1, sorted(seconds)[-5:]
