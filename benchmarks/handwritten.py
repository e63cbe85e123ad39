"""Variant E: one hand-written SQL statement per slice (``handwritten.sql``), as an estimate of PostgreSQL's own limit.

It uses one connection, a transaction per slice, the worker's slice size, and writes the same rows to the ledger. Those
are written once, with their final outcome: this variant could not resume, retry or cancel a job.
"""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

import psycopg
from django.utils import timezone

from benchmarks.rows import insert
from worker.models import JobSlice, LinkingJob

SLICE = (Path(__file__).parent / "handwritten.sql").read_bytes()


def link_program_enrollments(
    connection: psycopg.Connection, job_id: UUID, program_uuid: UUID, mapping: Mapping[str, str], slice_size: int
) -> None:
    """Link a mapping of learners that do not interfere with each other."""
    connection.execute("SET plan_cache_mode = force_generic_plan")  # Fastest in trials: the statement is planned once.
    job = LinkingJob(id=job_id, program_uuid=program_uuid, state=LinkingJob.State.RUNNING, total=len(mapping))
    job.started = timezone.now()
    insert(connection, job)
    total: Counter[str] = Counter()
    learners = list(enumerate(mapping.items()))
    for number, start in enumerate(range(0, len(learners), slice_size)):
        part = learners[start : start + slice_size]
        parameters = {
            "positions": [position for position, _ in part],
            "keys": [key for _, (key, _) in part],
            "names": [username for _, (_, username) in part],
            "program": program_uuid,
            "job": job_id,
            "slice": number,
        }
        with connection.transaction():
            counts: dict[str, int] = dict(connection.execute(SLICE, parameters, prepare=True).fetchall())
            insert(
                connection,
                JobSlice(job=job, number=number, total=len(part), counts=counts, finished=timezone.now()),
            )
        total.update(counts)
    connection.execute(
        "UPDATE worker_linkingjob SET state = 'done', finished = now(), announced = now(), counts = %s WHERE id = %s",
        [json.dumps(total), job_id],
    )
