"""The rows of a round: written once, copied for each round, read back as what can be compared."""

import os
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql

from samples.program import PROGRAM_UUID, SampleProgram, sample_program

SAMPLE, CALM = "sample", "calm"
LEARNERS_PER_SAMPLE = 2_000
SEED = 2026
"""Of the sample: all rounds link the same learners."""

HISTORY = """
    CREATE TABLE chaos_shared (user_id bigint PRIMARY KEY, learners int);
    CREATE TABLE chaos_history (
        n bigserial, transaction xid8 DEFAULT pg_current_xact_id(), relation text, row_id bigint, held jsonb
    );
    CREATE TABLE chaos_result (task_id text, status text, result text);
    CREATE FUNCTION chaos_note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO chaos_history (relation, row_id, held)
        VALUES (TG_TABLE_NAME, NEW.id, to_jsonb(NEW) - '{id,created,modified}'::text[]);
        RETURN NULL;
    END $$;
    CREATE FUNCTION chaos_note_result() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO chaos_result VALUES (NEW.task_id, NEW.status, NEW.result);
        RETURN NULL;
    END $$;
    CREATE TRIGGER chaos_note AFTER INSERT OR UPDATE ON student_courseenrollment
        FOR EACH ROW EXECUTE FUNCTION chaos_note();
    CREATE TRIGGER chaos_note AFTER INSERT OR UPDATE ON student_courseaccessrole
        FOR EACH ROW EXECUTE FUNCTION chaos_note();
    CREATE TRIGGER chaos_note AFTER UPDATE ON program_enrollments_programenrollment
        FOR EACH ROW EXECUTE FUNCTION chaos_note();
    CREATE TRIGGER chaos_note AFTER INSERT OR UPDATE ON django_celery_results_taskresult
        FOR EACH ROW EXECUTE FUNCTION chaos_note_result();
"""
"""Every change of these rows is noted by the database itself, in the transaction that makes it.

Users that several learners are after, or give up, are listed with how many learners that are.
"""

NET = """
    SELECT DISTINCT ON (transaction, relation, row_id) relation, held, (held->>'user_id')::bigint AS user_id
    FROM chaos_history ORDER BY transaction, relation, row_id, n DESC
"""
"""What each transaction left of each row that it changed: how it got there is the engine's affair."""

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
    # A course enrollment that one learner gives up and the next takes changes twice if they run one by one, and not at
    # all if they run together.
    "changes": f"""
        SELECT relation, held::text FROM ({NET}) change
        WHERE NOT (relation = 'student_courseenrollment' AND user_id IN (SELECT user_id FROM chaos_shared))
    """,
}
"""Every row without what differs from one run to the next: ids that a run gives, and times."""

TOO_OFTEN = f"""
    SELECT user_id, held->>'course_id', COUNT(*) FROM ({NET}) change JOIN chaos_shared USING (user_id)
    WHERE relation = 'student_courseenrollment' GROUP BY user_id, held->>'course_id', learners
    HAVING COUNT(*) > learners
"""
"""Course enrollments that changed more often than there are learners to change them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peace:
    """What the job comes to when it is left in peace.

    Attributes:
        mapping: LMS username by external user key.
        errors: the error dictionary.
        rows: all rows afterwards, by table.
        seconds: how long one process takes for it.
    """

    mapping: dict[str, str]
    errors: dict[str, str]
    rows: dict[str, Counter[tuple[Any, ...]]]
    seconds: float


def database_url(server_url: str, name: str) -> str:
    """Return the address of a database of the server."""
    return server_url.replace("/postgres?", f"/{name}?")


def copy_database(server_url: str, name: str, source: str) -> None:
    """Make the database ``name``, a copy of ``source``."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(source))
        )


def drop_database(server_url: str, name: str) -> None:
    """Remove a database, whoever is connected."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def snapshot(url: str) -> dict[str, Counter[tuple[Any, ...]]]:
    """Return every row by table, each as often as it is there."""
    with psycopg.connect(url) as connection:
        return {
            name: Counter(
                connection.execute(query.encode()).fetchall()
            )  # Bytes: psycopg takes no other text made here.
            for name, query in QUERIES.items()
        }


def prepare(server_url: str, learners: int) -> Peace:
    """Write the sample into a database of its own, and link a copy of it in this process, undisturbed."""
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
    copy_database(server_url, CALM, SAMPLE)
    connection.settings_dict["NAME"] = CALM
    errors, seconds = _link_here(sample.mapping)
    connection.close()
    rows = snapshot(database_url(server_url, CALM))
    return Peace(mapping=sample.mapping, errors=errors, rows=rows, seconds=seconds)


def _learners_by_user(sample: SampleProgram) -> Counter[str]:
    """Return how many learners of the mapping each user has to do with: the one to be linked, or linked now."""
    keys = {key.lower() for key in sample.mapping}
    holders = [it.holder for it in sample.enrollments if it.holder and it.key.lower() in keys]
    return Counter([*sample.mapping.values(), *holders])


def _link_here(mapping: dict[str, str]) -> tuple[dict[str, str], float]:
    from worker import jobs  # noqa: PLC0415 - Django is configured by now
    from worker.jobs.request import parse_link_request  # noqa: PLC0415 - as above
    from worker.jobs.slices import run_slice  # noqa: PLC0415 - as above

    began = time.monotonic()
    job = jobs.submit(uuid4(), parse_link_request((str(PROGRAM_UUID), mapping), {}))
    jobs.start(job, relies_on_chord=False)
    for number in jobs.open_slices(job):
        while not run_slice(job.pk, number).finished:
            pass
    errors = jobs.finish(job.pk, notify=lambda _job, _errors: None)
    if errors is None:
        raise AssertionError
    return errors, time.monotonic() - began
