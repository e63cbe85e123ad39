"""The checks of small jobs: each is answered once and truly, and those over one learner ran in their order."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import psycopg

from chaos.checks import Report
from chaos.small_jobs import SmallJob, SmallJobs

CALLBACK_SECONDS = 3.0
"""Seconds before and after the loss of the broker in which callbacks may be lost with it."""

RESULTS = """
    SELECT DISTINCT task_id, status, CASE status WHEN 'SUCCESS' THEN result ELSE '' END FROM chaos_result
    WHERE task_id = ANY(%s) AND status <> 'RETRY'
"""
"""Results that were stored at any time and that a caller who polls takes for the end."""
USERS = """
    SELECT key, array_agg(username ORDER BY n) FROM (
        SELECT DISTINCT ON (transaction, row_id) n, held->>'external_user_key' AS key, username
        FROM chaos_history JOIN auth_user lms_user ON lms_user.id = (held->>'user_id')::bigint
        WHERE relation = 'program_enrollments_programenrollment' AND held->>'external_user_key' LIKE 'small-%'
        ORDER BY transaction, row_id, n DESC
    ) change GROUP BY key
"""
"""The users that each learner was linked to, one after the other."""
NOTIFIED = "SELECT id::text, extract(epoch FROM announced) FROM worker_linkingjob WHERE id = ANY(%s::uuid[])"


def check_small_jobs(report: Report, url: str, small: SmallJobs, losses: Sequence[tuple[float, float]]) -> None:
    """Add to ``report`` what is wrong with the small jobs of a round.

    Args:
        report: the report of the round.
        url: the database of the round.
        small: the jobs.
        losses: begin and end of each time at which the broker lost all messages.
    """
    report.small_jobs = len(small.jobs)
    ids = [job.job_id for job in small.jobs]
    results: dict[str, list[tuple[str, str]]] = defaultdict(list)
    with psycopg.connect(url) as connection:
        for job_id, status, result in connection.execute(RESULTS, [ids]):
            results[job_id].append((status, result))
        users: dict[str, list[str]] = dict(connection.execute(USERS.encode()).fetchall())
        notified: dict[str, Any] = dict(connection.execute(NOTIFIED, [ids]).fetchall())
    expected: dict[str, list[str]] = defaultdict(list)
    for job in small.jobs:
        answer = ("FAILURE", "") if job.refused else ("SUCCESS", "{}")
        if results[job.job_id] != [answer]:
            report.other.append(f"{_name(job)}: results {results[job.job_id]} instead of {answer}")
        lossy = any(
            begin - CALLBACK_SECONDS < float(notified.get(job.job_id) or end) < end + CALLBACK_SECONDS
            for begin, end in losses
        )
        _check_callbacks(report, small, job, lossy=lossy)
        if not job.refused:
            expected[job.key].append(job.username)
    if users != expected:
        wrong = [(key, users.get(key), expected.get(key)) for key in users.keys() | expected.keys()]
        wrong = [it for it in wrong if it[1] != it[2]]
        report.other.append(f"{len(wrong)} learners of small jobs, such as {wrong[0]}: users and what was expected")


def _check_callbacks(report: Report, small: SmallJobs, job: SmallJob, *, lossy: bool) -> None:
    results, failures = small.caller.results[job.job_id], small.caller.failures[job.job_id]
    right, wrong = (failures, results) if job.refused else (results, failures)
    if wrong or any(result != {} for result in results):
        report.other.append(f"{_name(job)}: callbacks with {results}, error callbacks with {failures}")
    if not right and not lossy:
        report.lost.append(f"{_name(job)}: its callback was not called")


def _name(job: SmallJob) -> str:
    return f"small job {job.job_id} ({job.key}, {job.username})"
