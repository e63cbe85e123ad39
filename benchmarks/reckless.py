"""A worker without what recovery needs while nothing goes wrong; loaded by ``celery worker -I benchmarks.reckless``.

No attempt is counted before a slice begins, nobody notes that messages were sent, no job looks whether it must wait for
another one, and no chord is forgotten.
"""

from typing import Any
from uuid import UUID

from worker import jobs, tasks
from worker.jobs import slices
from worker.models import JobSlice, LinkingJob


def _begin(job_id: UUID, number: int) -> tuple[JobSlice, int]:
    return JobSlice.objects.select_related("job").get(job_id=job_id, number=number), 0


def _nothing(*_: Any) -> None:
    return None


def _no_job(*_: Any) -> list[LinkingJob]:
    return []


for module, name, stand_in in (
    (slices, "_begin", _begin),
    (jobs, "_queue_up", _nothing),
    (jobs, "note_dispatched", _nothing),
    (jobs, "released_by", _no_job),
    (tasks, "forget_chords", _nothing),
):
    getattr(module, name)  # It is still called so.
    setattr(module, name, stand_in)
