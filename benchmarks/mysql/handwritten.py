"""Variant E on MySQL and MariaDB: hand-written SQL, a fixed number of statements per slice (``handwritten.sql``).

These servers cannot chain statements into one: the rows of a slice are kept in temporary tables between them. As on
PostgreSQL it uses one connection, a transaction per slice, the worker's slice size, and writes the same rows to the
ledger, once, with their final outcome.
"""

import json
from collections import Counter
from collections.abc import Mapping
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from benchmarks.mysql.connection import Connection
from benchmarks.rows import insert
from benchmarks.workloads import statements_of
from worker.models import JobSlice, LinkingJob

TABLES = statements_of("mysql/handwritten_tables.sql")
SLICE = statements_of("mysql/handwritten.sql")
HISTORY = statements_of("mysql/handwritten_history.sql")
EMPTIED = ("slice_learner", "slice_run", "slice_role", "slice_warning")


def link_program_enrollments(
    connection: Connection, job_id: UUID, program_uuid: UUID, mapping: Mapping[str, str], slice_size: int
) -> None:
    """Link a mapping of learners that do not interfere with each other."""
    for table in EMPTIED:
        connection.execute(f"DROP TEMPORARY TABLE IF EXISTS {table}")
    for statement in TABLES:
        connection.execute(statement)
    job = LinkingJob(id=job_id, program_uuid=program_uuid, state=LinkingJob.State.RUNNING, total=len(mapping))
    job.started = timezone.now()
    insert(connection, job)
    statements = [*SLICE, *HISTORY] if settings.LINKING_LMS else SLICE
    total: Counter[str] = Counter()
    learners = [(position, *entry) for position, entry in enumerate(mapping.items())]
    for number, start in enumerate(range(0, len(learners), slice_size)):
        part = learners[start : start + slice_size]
        parameters = {
            "learners": json.dumps(part),
            "program": program_uuid.hex,
            "program_text": str(program_uuid),
            "job": job_id.hex,
            "slice": number,
            "reason": f"program-linking job {job_id}",
        }
        for table in EMPTIED:
            connection.execute(f"TRUNCATE TABLE {table}")
        connection.begin()
        for statement in statements:
            connection.execute(statement, parameters)
        counts = dict(connection.execute("SELECT outcome, COUNT(*) FROM slice_learner GROUP BY outcome").fetchall())
        insert(connection, JobSlice(job=job, number=number, total=len(part), counts=counts, finished=timezone.now()))
        connection.commit()
        total.update(counts)
    connection.execute(
        "UPDATE worker_linkingjob SET state = 'done', finished = NOW(6), announced = NOW(6), counts = %s WHERE id = %s",
        [json.dumps(total), job_id.hex],
    )
