"""Checksums of the rows that a run left, without ids and timestamps, which differ between runs.

Equal rows have equal checksums. A checksum of a part covers the rows of the first learners of the mapping, so that
variants that are measured on a part can be compared too.
"""

from collections.abc import Mapping

import psycopg

from benchmarks.interface import Fingerprints

TABLES = {
    "program enrollments": """
        SELECT pe.program_uuid, pe.curriculum_uuid, pe.external_user_key, pe.status, lms_user.username
        FROM program_enrollments_programenrollment pe
        LEFT JOIN auth_user lms_user ON lms_user.id = pe.user_id
        WHERE pe.id IN (SELECT id FROM wanted_enrollment)
    """,
    "program course enrollments": """
        SELECT pe.program_uuid, pe.external_user_key, pce.course_key, pce.status, lms_user.username, ce.course_id
        FROM program_enrollments_programcourseenrollment pce
        JOIN program_enrollments_programenrollment pe ON pe.id = pce.program_enrollment_id
        LEFT JOIN student_courseenrollment ce ON ce.id = pce.course_enrollment_id
        LEFT JOIN auth_user lms_user ON lms_user.id = ce.user_id
        WHERE pe.id IN (SELECT id FROM wanted_enrollment)
    """,
    "course enrollments": """
        SELECT lms_user.username, ce.course_id, ce.is_active, ce.mode FROM student_courseenrollment ce
        JOIN auth_user lms_user ON lms_user.id = ce.user_id
        WHERE ce.user_id IN (SELECT id FROM wanted_user)
    """,
    "course roles": """
        SELECT lms_user.username, role.org, role.course_id, role.role FROM student_courseaccessrole role
        JOIN auth_user lms_user ON lms_user.id = role.user_id
        WHERE role.user_id IN (SELECT id FROM wanted_user)
    """,
    "role assignments": """
        SELECT pe.program_uuid, pe.external_user_key, pce.course_key, a.role
        FROM program_enrollments_courseaccessroleassignment a
        JOIN program_enrollments_programcourseenrollment pce ON pce.id = a.enrollment_id
        JOIN program_enrollments_programenrollment pe ON pe.id = pce.program_enrollment_id
        WHERE pe.id IN (SELECT id FROM wanted_enrollment)
    """,
}
LEDGER = {
    "jobs": "SELECT program_uuid, state, total, counts, errors_cut, message FROM worker_linkingjob WHERE id = %(job)s",
    "slices": """
        SELECT number, total, counts, finished IS NOT NULL FROM worker_jobslice WHERE job_id = %(job)s
    """,
    # A course enrollment is identified by its user and course run instead of its id.
    "learners": """
        SELECT position, external_user_key, lms_username, slice, outcome, message, warnings, attempts,
               finished IS NOT NULL, before->'version', before->'enrollment', before->'user',
               (SELECT jsonb_agg(jsonb_build_array(value->0, value->1, value->2, value->3, (value->>4)::timestamptz)
                                 ORDER BY place)
                FROM jsonb_array_elements(before->'roles') WITH ORDINALITY AS part(value, place)),
               (SELECT jsonb_agg(jsonb_build_array(ce.user_id, ce.course_id, value->1, value->2) ORDER BY place)
                FROM jsonb_array_elements(before->'course_enrollments') WITH ORDINALITY AS part(value, place)
                JOIN student_courseenrollment ce ON ce.id = (value->>0)::bigint),
               (SELECT jsonb_agg(jsonb_build_array(value->0, value->1, ce.user_id, ce.course_id,
                                                   (value->>3)::timestamptz) ORDER BY place)
                FROM jsonb_array_elements(before->'courses') WITH ORDINALITY AS part(value, place)
                JOIN student_courseenrollment ce ON ce.id = (value->>2)::bigint)
        FROM worker_learneroutcome WHERE job_id = %(job)s
    """,
}

ALL = """
    WITH wanted_enrollment AS (SELECT id FROM program_enrollments_programenrollment),
    wanted_user AS (SELECT id FROM auth_user)
"""
PART = """
    WITH wanted_enrollment AS (
        SELECT id FROM program_enrollments_programenrollment
        JOIN benchmark_learner learner ON learner.key = external_user_key WHERE position < %(part)s
    ), wanted_user AS (
        SELECT user_id AS id FROM benchmark_user WHERE position < %(part)s AND user_id IS NOT NULL
        UNION SELECT held_by FROM benchmark_user WHERE position < %(part)s AND held_by IS NOT NULL
    )
"""


def tables(connection: psycopg.Connection, part: int | None = None) -> Fingerprints:
    """Return the checksums of the tables of linking, of all rows or those of the first ``part`` learners."""
    return {
        name: _checksum(connection, ALL if part is None else PART, query, {"part": part})
        for name, query in TABLES.items()
    }


def ledger(connection: psycopg.Connection, job_id: str) -> Fingerprints:
    """Return the checksums of a job's rows in the ledger."""
    return {name: _checksum(connection, "", query, {"job": job_id}) for name, query in LEDGER.items()}


def _checksum(connection: psycopg.Connection, scope: str, query: str, parameters: Mapping[str, object]) -> str:
    # The hashes of rows are sorted rather than the rows: the order must not depend on the collation.
    sql = f"""
        {scope}
        SELECT count(*) || ' rows, ' || coalesce(md5(string_agg(hash, '' ORDER BY hash)), 'none')
        FROM (SELECT md5(t::text) COLLATE "C" AS hash FROM ({query}) t) hashed
    """
    row = connection.execute(sql.encode(), parameters).fetchone()
    return str(row[0]) if row else ""
