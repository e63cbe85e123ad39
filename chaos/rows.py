"""The rows of a round: written once, copied for each round, and read in a comparable form."""

import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import django
from django.core.management import call_command
from django.db import connection, connections
from django.db.backends.signals import connection_created
from django.test import override_settings

from chaos.databases.interface import Database
from chaos.databases.mysql import number_transactions
from chaos.small_rows import add_learners, remove_small_jobs
from samples.program import PROGRAM_UUID, SampleProgram, sample_program

SAMPLE, BASELINE = "sample", "baseline"
"""Databases: the rows before linking, and those of the baseline."""
LEARNERS_PER_SAMPLE = 2_000
SEED = 2026
"""Seed of the sample: all rounds link the same learners."""

NET = """
    SELECT relation, user_id, place, held FROM (
        SELECT relation, user_id, place, held, n,
               ROW_NUMBER() OVER (PARTITION BY changed_in, relation, row_id ORDER BY n DESC) AS age
        FROM chaos_history
    ) history WHERE age = 1
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
        SELECT position, external_user_key, lms_username, outcome, message, CAST(warnings AS CHAR(10000))
        FROM worker_learneroutcome
    """,
    # Without course enrollments that one learner leaves and another takes over: they change twice if the learners are
    # in different transactions, and not at all if they are in the same.
    "changes": f"""
        SELECT relation, held FROM ({NET}) changed
        WHERE NOT (relation = 'student_courseenrollment' AND user_id IN (SELECT user_id FROM chaos_shared))
    """,
}
"""Queries for all rows, without the ids and times that differ between runs."""

CHANGED_TOO_OFTEN = f"""
    SELECT changed.user_id, place, COUNT(*) FROM ({NET}) changed
    JOIN chaos_shared ON chaos_shared.user_id = changed.user_id
    WHERE relation = 'student_courseenrollment' GROUP BY changed.user_id, place, learners
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
        transitions: what the recorded events say.
        seconds: time that one process needs.
    """

    mapping: dict[str, str]
    errors: dict[str, str]
    rows: dict[str, Counter[tuple[Any, ...]]]
    transitions: Counter[tuple[Any, ...]]
    seconds: float


def use_database(name: str) -> None:
    """Connect this process, from now on, to another database of the server."""
    connection.close()
    connections.settings["default"]["NAME"] = name
    connection.settings_dict["NAME"] = name


def fetch(sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters or None)
        return list(cursor.fetchall())


def snapshot() -> dict[str, Counter[tuple[Any, ...]]]:
    """Return the rows by table, each with its number."""
    return {name: Counter(fetch(query)) for name, query in QUERIES.items()}


def prepare(database: Database, learners: int) -> Baseline:
    """Write the sample to a database, and link a copy of it in this process."""
    database.create(SAMPLE)
    connection_created.connect(number_transactions)
    os.environ["DATABASE_URL"] = database.url(SAMPLE)
    os.environ["DJANGO_SETTINGS_MODULE"] = "worker.settings"
    django.setup()
    from samples.rows import write_rows  # noqa: PLC0415 - models need the settings, and these the server's address

    call_command("migrate", verbosity=0)
    sample = sample_program(SEED, times=max(1, learners // LEARNERS_PER_SAMPLE))
    add_learners(sample)
    write_rows(sample)
    with connection.cursor() as cursor:
        for statement in database.history:
            cursor.execute(statement)
        cursor.executemany(
            "INSERT INTO chaos_shared SELECT id, %s FROM auth_user WHERE username = %s",
            [(count, username) for username, count in _learners_by_user(sample).items() if count > 1],
        )
    connection.close()
    database.copy(BASELINE, SAMPLE)
    use_database(BASELINE)
    from chaos.events import recorded_transitions  # noqa: PLC0415 - Django is set up by now

    with override_settings(LINKING_EVENTS=True):
        errors, seconds = _link_in_process(sample.mapping)
    transitions = recorded_transitions()
    remove_small_jobs()
    return Baseline(mapping=sample.mapping, errors=errors, rows=snapshot(), transitions=transitions, seconds=seconds)


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
