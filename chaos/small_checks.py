"""The checks of small jobs: each is answered once and truly, and those over one learner ran in their order."""

from collections import defaultdict
from collections.abc import Sequence

from chaos.checks import Report
from chaos.rows import fetch
from chaos.small_jobs import SmallJob, SmallJobs
from worker.models import LinkingJob

CALLBACK_SECONDS = 3.0
"""Seconds before and after the loss of the broker in which callbacks may be lost with it."""

USERS = """
    SELECT place, username FROM (
        SELECT n, place, user_id, ROW_NUMBER() OVER (PARTITION BY changed_in, row_id ORDER BY n DESC) AS age
        FROM chaos_history WHERE relation = 'program_enrollments_programenrollment' AND place LIKE 'small-%'
    ) history JOIN auth_user lms_user ON lms_user.id = user_id WHERE age = 1 ORDER BY n
"""
"""The users that each learner was linked to, one after the other."""


def check_small_jobs(report: Report, small: SmallJobs, losses: Sequence[tuple[float, float]]) -> None:
    """Add to ``report`` what is wrong with the small jobs of a round.

    Args:
        report: the report of the round.
        small: the jobs.
        losses: begin and end of each time at which the broker lost all messages.
    """
    report.small_jobs = len(small.jobs)
    ids = [job.job_id for job in small.jobs]
    results: dict[str, set[tuple[str, str]]] = defaultdict(set)
    # Those that were stored at any time and that a caller who polls takes for the end.
    for job_id, status, result in fetch("SELECT task_id, status, result FROM chaos_result WHERE status <> 'RETRY'"):
        results[job_id].add((status, result if status == "SUCCESS" else ""))
    users: dict[str, list[str]] = defaultdict(list)
    for key, username in fetch(USERS):
        users[key].append(username)
    jobs = LinkingJob.objects.filter(pk__in=ids).values_list("pk", "notified")
    notified = {str(job_id): announced.timestamp() for job_id, announced in jobs if announced}
    expected: dict[str, list[str]] = defaultdict(list)
    for job in small.jobs:
        answer = ("FAILURE", "") if job.refused else ("SUCCESS", "{}")
        if results[job.job_id] != {answer}:
            report.other.append(f"{_name(job)}: results {results[job.job_id]} instead of {answer}")
        lossy = any(
            begin - CALLBACK_SECONDS < notified.get(job.job_id, end) < end + CALLBACK_SECONDS for begin, end in losses
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
