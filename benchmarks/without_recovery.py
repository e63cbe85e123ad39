"""A worker without recovery, which ``benchmarks.recovery`` compares with the normal one.

``celery worker -I benchmarks.without_recovery`` loads this module. It replaces the functions that count attempts before
a slice begins, record dispatches, and queue jobs behind each other.
"""

from typing import Any
from uuid import UUID

from worker import jobs
from worker.jobs import lifecycle, slices, submission
from worker.models import LinkingJob


def _count_attempt(job_id: UUID, number: int) -> int:
    return 0


def _do_nothing(*_: Any) -> None:
    return None


def _no_jobs(*_: Any) -> list[LinkingJob]:
    return []


for module, name, replacement in (
    (slices, "_count_attempt", _count_attempt),
    (submission, "queue_up", _do_nothing),
    (jobs, "note_dispatched", _do_nothing),
    (lifecycle, "withdraw", _do_nothing),
    (lifecycle, "released_by", _no_jobs),
):
    getattr(module, name)  # Fails if the function was renamed or removed.
    setattr(module, name, replacement)
