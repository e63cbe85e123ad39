"""The rows of small jobs and their learners: added to the sample, and removed before rows are compared."""

import psycopg

from samples.program import COURSES, CURRICULUM_UUIDS, Enrollment, SampleProgram, User

SHARED, JOBS_OF_SHARED, SINGLE = 20, 6, 380
"""Learners of the burst that are in several jobs, the number of these jobs, and learners that are in one."""
LEARNERS = [f"small-{n}" for n in range(SHARED + SINGLE + 2)]
"""External user keys. The last two are those of the unsendable callback and of the request that ends its worker."""
REMOVE = """
    SET session_replication_role = replica;  -- No triggers: neither the history nor foreign keys.
    CREATE TEMPORARY TABLE small AS SELECT id FROM auth_user WHERE username LIKE 'small-%';
    CREATE TEMPORARY TABLE enrollment AS
        SELECT id FROM program_enrollments_programenrollment WHERE external_user_key LIKE 'small-%';
    DELETE FROM program_enrollments_programcourseenrollment
        WHERE program_enrollment_id IN (SELECT id FROM enrollment);
    DELETE FROM program_enrollments_programenrollment WHERE id IN (SELECT id FROM enrollment);
    DELETE FROM student_courseenrollment WHERE user_id IN (SELECT id FROM small);
    DELETE FROM chaos_history WHERE held->>'external_user_key' LIKE 'small-%'
        OR (held->>'user_id')::bigint IN (SELECT id FROM small);
    CREATE TEMPORARY TABLE job AS
        SELECT DISTINCT job_id FROM worker_learneroutcome WHERE external_user_key LIKE 'small-%';
    DELETE FROM worker_learneroutcome WHERE job_id IN (SELECT job_id FROM job);
    DELETE FROM worker_jobslice WHERE job_id IN (SELECT job_id FROM job);
    DELETE FROM worker_linkingjob WHERE id IN (SELECT job_id FROM job)
"""


def add_learners(sample: SampleProgram) -> None:
    """Add the learners of small jobs to a sample: each has two users and waits for one."""
    for key in LEARNERS:
        sample.users += [User(username=username_of(key, 0)), User(username=username_of(key, 1))]
        sample.enrollments.append(Enrollment(key=key, curriculum=CURRICULUM_UUIDS[0], courses=COURSES[:2]))


def username_of(key: str, turn: int) -> str:
    """Return the user of a learner's first, second, … job: one of two, in turn."""
    return f"{key}-{'ab'[turn % 2]}"


def remove_small_jobs(url: str) -> None:
    """Remove the rows of small jobs and of their learners, so that the others can be compared."""
    with psycopg.connect(url) as connection:
        connection.execute(REMOVE.encode())
