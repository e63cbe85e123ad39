"""Checksums of the rows that a run left on MySQL or MariaDB; see :mod:`benchmarks.fingerprints`."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from benchmarks.fingerprints import ALL, PART, TABLES
from benchmarks.interface import Fingerprints
from benchmarks.mysql.connection import Connection

JOB = "SELECT program_uuid, state, total, counts, errors_cut, message FROM worker_linkingjob WHERE id = %s"
SLICES = "SELECT number, total, counts, finished IS NOT NULL FROM worker_jobslice WHERE job_id = %s"
HISTORIES = {
    "program_enrollments_historicalprogramenrollment": "history_type",
    "program_enrollments_historicalprogramcourseenrollment": "history_type",
    "student_courseenrollment_history": "history_type",
    "student_courseaccessrolehistory": "action_type",
}
"""The column that says what kind of change a history row is about, by table."""
LEARNERS = """
    SELECT position, external_user_key, lms_username, slice, outcome, message, attempts, finished IS NOT NULL, warnings,
           `before`
    FROM worker_learneroutcome WHERE job_id = %s ORDER BY position
"""


def tables(connection: Connection, part: int | None = None) -> Fingerprints:
    """Return the checksums of the tables of linking, of all rows or those of the first ``part`` learners."""
    scope = ALL if part is None else PART
    return {name: _checksum(connection, scope, query, {"part": part}) for name, query in TABLES.items()}


def ledger(connection: Connection, job_id: str) -> Fingerprints:
    """Return the checksums of a job's rows in the ledger."""
    stored_id = [UUID(job_id).hex]
    program, state, total, counts, *rest = connection.execute(JOB, stored_id).fetchall()[0]
    slices = sorted(
        (number, size, sorted(json.loads(counted).items()), finished)
        for number, size, counted, finished in connection.execute(SLICES, stored_id).fetchall()
    )
    # A course enrollment is identified by its user and course run instead of its id.
    named = {
        row_id: names
        for row_id, *names in connection.execute("SELECT id, user_id, course_id FROM student_courseenrollment")
    }
    learners = (
        (*row, json.loads(warnings), before and _without_ids(json.loads(before), named))
        for *row, warnings, before in connection.execute(LEARNERS, stored_id)
    )
    return {
        "jobs": _hash([(program, state, total, sorted(json.loads(counts).items()), *rest)]),
        "slices": _hash(slices),
        "learners": _hash(learners),
    }


def history(connection: Connection) -> str:
    """Return the numbers of history rows by kind. Variant A writes more of them: one for each save."""
    counts = {
        table: sorted(connection.execute(f"SELECT {kind}, COUNT(*) FROM {table} GROUP BY {kind}").fetchall())
        for table, kind in HISTORIES.items()
    }
    return json.dumps(counts)


def _without_ids(before: dict[str, Any], named: Mapping[int, Any]) -> dict[str, Any]:
    courses = [(row_id, was, named[now], modified) for row_id, was, now, modified in before["courses"]]
    course_enrollments = [(named[row_id], was, now) for row_id, was, now in before["course_enrollments"]]
    return before | {"courses": courses, "course_enrollments": course_enrollments}


def _hash(rows: Iterable[Any]) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for row in rows:
        digest.update(json.dumps(row, sort_keys=True).encode())
    return digest.hexdigest()


def _checksum(connection: Connection, scope: str, query: str, parameters: Mapping[str, object]) -> str:
    names = [name for name, *_ in connection.execute(f"{scope} {query} LIMIT 0", parameters).description or ()]
    # The sums of both halves of the hashes: the order of rows does not matter.
    halves = ", ".join(f"SUM(CAST(CONV({half}(hash, 12), 16, 10) AS UNSIGNED))" for half in ("LEFT", "RIGHT"))
    hashes = f"SELECT SHA2(JSON_ARRAY({', '.join(names)}), 256) AS hash FROM ({query}) selected"
    sql = f"{scope} SELECT COUNT(*), {halves} FROM ({hashes}) hashed"
    count, *sums = connection.execute(sql, parameters).fetchall()[0]
    return f"{count} rows, {sums}"
