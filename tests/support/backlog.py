"""A backlog of large jobs, and small jobs and the sweeper beside it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection
from django.utils import timezone
from django_celery_results.models import TaskResult

from tests.support.populations import add_learners
from tests.support.service import Service, result_of
from tests.support.waiting import wait_until
from worker.models import JobSlice, LinkingJob, RouteMarker

JOBS, LEARNERS, SLICE_SIZE = 8, 110, 10
SECONDS = 0.3
"""Added time of a slice: eleven slices a job keep two processes busy for 13 seconds."""
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


def work_off_backlog(service: Service) -> tuple[list[float], list[float], int, int]:
    """Send a backlog; until it is worked off, send small jobs and start the sweeper again and again.

    Returns:
        Seconds from a small job's request to its result, seconds from the start of a sweep until a marker that it sent
        was received, number of messages with a slice that were delivered, and number of slices.
    """
    jobs = [service.link(add_learners(LEARNERS), learners_per_subtask=SLICE_SIZE) for _ in range(JOBS)]
    wait_until(lambda: LinkingJob.objects.exclude(dispatched=None).count() == JOBS, "the backlog is queued")
    open_jobs = LinkingJob.objects.filter(pk__in=jobs, notified=None)
    small, sweeps = [], []
    while open_jobs.exists():
        began, sent = time.monotonic(), timezone.now()
        service.send("linking.resume_stalled_jobs", queue="linking.recovery", expires=30)
        wait_until(RouteMarker.objects.filter(name="celery:0", sent__gt=sent).exists, "a sweep ran", interval=0.01)
        sweeps.append(time.monotonic() - began)
        mapping = add_learners(1)
        began = time.monotonic()
        assert result_of(service.link(mapping)) == {}
        small.append(time.monotonic() - began)
    delivered = TaskResult.objects.filter(task_name="linking.link_learners", status="SUCCESS").count()
    return small, sweeps, delivered, JobSlice.objects.count()
