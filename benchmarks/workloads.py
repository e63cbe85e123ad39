"""The data that is measured on: made by PostgreSQL itself (``workloads.sql``), the same every time.

Every workload is a program of its own in a database of its own, beside learners who have nothing to do with it.
"""

import enum
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

import psycopg

from benchmarks.rows import insert
from worker.models import LinkingJob

PROGRAM = UUID("b0000000-0000-4000-8000-000000000001")
CURRICULUM = UUID("b0000000-0000-4000-8000-000000000002")
PROGRAM_OF_SINGLES = UUID("b0000000-0000-4000-8000-000000000003")
"""A second program in the same tables: learners who are linked one by one."""
SINGLES = 2_000
EMPTY_PROGRAM = UUID("b0000000-0000-4000-8000-000000000004")
"""A program without learners: linking it warms a contestant up and leaves no trace in the tables of linking."""
FORMER_JOB = UUID("b0000000-0000-4000-8000-000000000005")
"""A job that the ledger holds already."""
USER_STRIDE = 48_271
"""A prime: user number ``position * stride % total`` belongs to the learner at a position."""

STATEMENTS = (Path(__file__).parent / "workloads.sql").read_text(encoding="utf-8").split(";\n")


class Workload(enum.StrEnum):
    """What the learners of a mapping are made of; each has two course runs, and a role assigned on every twentieth."""

    FRESH = "fresh"
    """Waiting."""
    RELINK = "relink"
    """All linked to another user."""
    MIXED = "mixed"
    """85% fresh, 10% relinks, 5% errors: no user, no enrollment, no course run, linked already, in equal parts."""


def write_rows(connection: psycopg.Connection, workload: Workload, total: int) -> None:
    """Fill empty tables with a workload of ``total`` learners."""
    parameters = {
        "workload": workload.value,
        "total": total,
        "stride": USER_STRIDE,
        "bystanders": total // 2,
        "singles": SINGLES,
        "former_job": FORMER_JOB,
        "program": PROGRAM,
        "program_of_singles": PROGRAM_OF_SINGLES,
        "curriculum": CURRICULUM,
    }
    with connection.transaction():
        done = LinkingJob.State.DONE
        insert(connection, LinkingJob(id=FORMER_JOB, program_uuid=EMPTY_PROGRAM, state=done, total=total // 2))
        for statement in STATEMENTS:
            if statement.strip():
                connection.execute(statement.encode(), parameters)


def read_mapping(connection: psycopg.Connection, total: int) -> Mapping[str, str]:
    """Return the first ``total`` learners of the mapping."""
    sql = "SELECT key, 'learner-' || user_number FROM benchmark_learner WHERE position < %s ORDER BY position"
    return dict(connection.execute(sql, [total]).fetchall())


def learner(position: int, total: int) -> tuple[str, str]:
    """Return key and username of the learner at ``position`` of ``total``."""
    return f"key-{position:07d}", f"learner-{position * USER_STRIDE % total:07d}"


def single(number: int) -> tuple[str, str]:
    """Return key and username of a learner of the program of singles."""
    return f"single-{number}", f"single-{number}"
