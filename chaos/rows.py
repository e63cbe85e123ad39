"""The rows of a round: written once, copied for each round, and read in a comparable form."""

import os
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql

from chaos.small_rows import add_learners, remove_small_jobs
from samples.program import PROGRAM_UUID, SampleProgram, sample_program

SAMPLE, BASELINE = "sample", "baseline"
"""Databases: the rows before linking, and those of the baseline."""
LEARNERS_PER_SAMPLE = 2_000
SEED = 2026
"""Seed of the sample: all rounds link the same learners."""

HISTORY = """
    CREATE TABLE chaos_shared (user_id bigint PRIMARY KEY, learners int);
    CREATE TABLE chaos_history (
        n bigserial, transaction xid8 DEFAULT pg_current_xact_id(), relation text, row_id bigint, held jsonb
    );
    CREATE TABLE chaos_result (task_id text, status text, result text);
    CREATE FUNCTION chaos_record() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO chaos_history (relation, row_id, held)
        VALUES (TG_TABLE_NAME, NEW.id, to_jsonb(NEW) - '{id,created,modified}'::text[]);
        RETURN NULL;
    END $$;
    CREATE FUNCTION chaos_record_result() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO chaos_result VALUES (NEW.task_id, NEW.status, NEW.result);
        RETURN NULL;
    END $$;
    CREATE TRIGGER chaos_record AFTER INSERT OR UPDATE ON student_courseenrollment
        FOR EACH ROW EXECUTE FUNCTION chaos_record();
    CREATE TRIGGER chaos_record AFTER INSERT OR UPDATE ON student_courseaccessrole
        FOR EACH ROW EXECUTE FUNCTION chaos_record();
    CREATE TRIGGER chaos_record AFTER UPDATE ON program_enrollments_programenrollment
        FOR EACH ROW EXECUTE FUNCTION chaos_record();
    CREATE TRIGGER chaos_record AFTER INSERT OR UPDATE ON django_celery_results_taskresult
        FOR EACH ROW EXECUTE FUNCTION chaos_record_result();
"""
"""Triggers that record every change of these rows, in the transaction of the change.

``chaos_shared`` contains the users that several learners link or unlink, with the number of these learners.
"""

NET = """
    SELECT DISTINCT ON (transaction, relation, row_id) relation, held, (held->>'user_id')::bigint AS user_id
    FROM chaos_history ORDER BY transaction, relation, row_id, n DESC
"""
"""The last state of each row in each transaction: intermediate states are the engine's business."""

QUERIES = {
    "course overviews": "SELECT id, org, display_name FROM course_overviews_courseoverview",
    "course modes": "SELECT course_id, mode_slug, expiration_datetime FROM course_modes_coursemode",
    "course enrollments": "SELECT user_id, course_id, mode, is_active FROM student_courseenrollment",
    "course access roles": "SELECT user_id, org, course_id, role FROM student_courseaccessrole",
    "program enrollments": """
        SELECT id, user_id, external_user_key, program_uuid, curriculum_uuid, status
        FROM program_enrollments_programenrollment
    """,
    "program course enrollments": """
        SELECT pce.id, pce.program_enrollment_id, pce.course_key, pce.status, ce.user_id, ce.course_id
        FROM program_enrollments_programcourseenrollment pce
        LEFT JOIN student_courseenrollment ce ON ce.id = pce.course_enrollment_id
    """,
    "role assignments": "SELECT id, role, enrollment_id FROM program_enrollments_courseaccessroleassignment",
    "outcomes": """
        SELECT position, external_user_key, lms_username, outcome, message, warnings::text FROM worker_learneroutcome
    """,
    # Without course enrollments that one learner leaves and another takes over: they change twice if the learners are
    # in different transactions, and not at all if they are in the same.
    "changes": f"""
        SELECT relation, held::text FROM ({NET}) change
        WHERE NOT (relation = 'student_courseenrollment' AND user_id IN (SELECT user_id FROM chaos_shared))
    """,
}
"""Queries for all rows, without the ids and times that differ between runs."""

CHANGED_TOO_OFTEN = f"""
    SELECT user_id, held->>'course_id', COUNT(*) FROM ({NET}) change JOIN chaos_shared USING (user_id)
    WHERE relation = 'student_courseenrollment' GROUP BY user_id, held->>'course_id', learners
    HAVING COUNT(*) > learners
"""
"""Course enrollments with more changes than learners that change them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The result of the job without faults.

    Attributes:
        mapping: LMS username by external user key.
        errors: the error dictionary.
        rows: all rows afterwards, by table.
        seconds: time that one process needs.
    """

    mapping: dict[str, str]
    errors: dict[str, str]
    rows: dict[str, Counter[tuple[Any, ...]]]
    seconds: float


def database_url(server_url: str, name: str) -> str:
    """Return the URL of a database of the server."""
    return server_url.replace("/postgres?", f"/{name}?")


def copy_database(server_url: str, name: str, source: str) -> None:
    """Create the database ``name`` as a copy of ``source``."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(source))
        )


def drop_database(server_url: str, name: str) -> None:
    """Drop a database and end all connections to it."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def snapshot(url: str) -> dict[str, Counter[tuple[Any, ...]]]:
    """Return the rows by table, each with its number."""
    with psycopg.connect(url) as connection:
        return {
            # Bytes: psycopg accepts only literals as text.
            name: Counter(connection.execute(query.encode()).fetchall())
            for name, query in QUERIES.items()
        }


def prepare(server_url: str, learners: int) -> Baseline:
    """Write the sample to a database, and link a copy of it in this process."""
    copy_database(server_url, SAMPLE, "template1")
    os.environ["DATABASE_URL"] = database_url(server_url, SAMPLE)
    os.environ["DJANGO_SETTINGS_MODULE"] = "worker.settings"
    import django  # noqa: PLC0415 - the settings need the server's address

    django.setup()
    from django.core.management import call_command  # noqa: PLC0415 - as above
    from django.db import connection  # noqa: PLC0415 - as above

    from samples.rows import write_rows  # noqa: PLC0415 - as above

    call_command("migrate", verbosity=0)
    sample = sample_program(SEED, times=max(1, learners // LEARNERS_PER_SAMPLE))
    add_learners(sample)
    write_rows(sample)
    with connection.cursor() as cursor:
        cursor.execute(HISTORY)
        cursor.executemany(
            "INSERT INTO chaos_shared SELECT id, %s FROM auth_user WHERE username = %s",
            [(count, username) for username, count in _learners_by_user(sample).items() if count > 1],
        )
    connection.close()
    with psycopg.connect(database_url(server_url, SAMPLE), autocommit=True) as client:
        client.execute("VACUUM ANALYZE")
    copy_database(server_url, BASELINE, SAMPLE)
    connection.settings_dict["NAME"] = BASELINE
    errors, seconds = _link_in_process(sample.mapping)
    connection.close()
    remove_small_jobs(database_url(server_url, BASELINE))
    rows = snapshot(database_url(server_url, BASELINE))
    return Baseline(mapping=sample.mapping, errors=errors, rows=rows, seconds=seconds)


def _learners_by_user(sample: SampleProgram) -> Counter[str]:
    """Return the number of learners that link or unlink each user."""
    keys = {key.lower() for key in sample.mapping}
    holders = [it.holder for it in sample.enrollments if it.holder and it.key.lower() in keys]
    return Counter([*sample.mapping.values(), *holders])


def _link_in_process(mapping: dict[str, str]) -> tuple[dict[str, str], float]:
    from worker import jobs  # noqa: PLC0415 - Django is set up by now
    from worker.jobs.request import parse_link_request  # noqa: PLC0415 - as above
    from worker.jobs.slices import run_slice  # noqa: PLC0415 - as above

    began = time.monotonic()
    job = jobs.submit(uuid4(), parse_link_request((str(PROGRAM_UUID), mapping), {}))
    jobs.start(job)
    for number in jobs.open_slices(job):
        while not run_slice(job.pk, number).finished:
            pass
    end = jobs.finish(job.pk, notify=lambda _job, _errors: None)
    if end is None:
        raise AssertionError
    return end.errors, time.monotonic() - began
