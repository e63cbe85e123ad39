"""The maximum rate of linking, over all processes and machines: a token bucket in the database.

The bucket is one row with the moment from which on learners may be linked again. To take learners out of it moves the
moment: one statement, in the time of the database, before the transaction that links them. Nothing is held while a
process waits, and a process that is killed leaves nothing behind.
"""

import time

from django.conf import settings
from django.db import connection

from linking.bulk import dialect, fetch
from worker.jobs.routing import SMALL
from worker.models import LinkingJob, RateLimit

STEP = 0.2
"""Seconds of the rate that one transaction links, unless it makes up for a delay."""
BURST = 2.0
"""Seconds of the rate that the bucket holds: what is not linked in time is made up for."""
AHEAD = 1.0
"""Seconds of the rate that small jobs may take in advance: large ones wait for them."""
PATIENCE = 0.1
"""Seconds that a process waits for the rate, at most; then other messages get their turn."""
BUCKET = 1
"""Primary key of the row."""
TABLE = RateLimit._meta.db_table  # noqa: SLF001 - the public way to a model's table


def is_limited() -> bool:
    """Return whether there is a maximum rate."""
    return bool(settings.LINKING_MAX_LEARNERS_PER_SECOND)


def take(job: LinkingJob, learners: int) -> int:
    """Take some of a job's learners out of the bucket, for one transaction; return how many may be linked, 0 for none.

    A step's worth, or as much as the bucket holds: after a delay a large transaction catches up. Wait for a step for
    PATIENCE at most.
    """
    limit = settings.LINKING_MAX_LEARNERS_PER_SECOND
    step, held = (min(max(round(limit * seconds), 1), learners) for seconds in (STEP, BURST))
    if held > step and _take(held, STEP - held / limit):
        return held
    return step if take_all(job, step) else 0


def take_all(job: LinkingJob, learners: int) -> bool:
    """Take learners of a job out of the bucket, however many; wait PATIENCE at most; return whether it was possible."""
    ahead = AHEAD if job.total <= SMALL.most else 0.0
    until = time.monotonic() + PATIENCE
    while not _take(learners, ahead):
        left = until - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(_seconds_to_wait(ahead), left))
    return True


def _take(learners: int, ahead: float) -> bool:
    """Move the moment if it is at most ``ahead`` seconds away; return whether it was moved."""
    now = dialect().epoch
    earliest = f"({now} - {BURST})"
    sql = f"""
        UPDATE {TABLE} SET free_at = CASE WHEN free_at < {earliest} THEN {earliest} ELSE free_at END + %s
        WHERE id = {BUCKET} AND free_at <= {now} + %s
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, [learners / settings.LINKING_MAX_LEARNERS_PER_SECOND, ahead])
        return bool(cursor.rowcount)


def _seconds_to_wait(ahead: float) -> float:
    """Return the seconds until learners can be taken; create the bucket if there is none."""
    found = fetch(f"SELECT free_at - {dialect().epoch} FROM {TABLE} WHERE id = {BUCKET}")
    if not found:
        RateLimit.objects.bulk_create([RateLimit(pk=BUCKET)], ignore_conflicts=True)
        return 0.0
    return max(float(found[0][0]) - ahead, 0.0)
