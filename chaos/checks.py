"""The verdict on a round: what it left, compared with peace."""

import json
from collections import Counter
from dataclasses import dataclass, field

import psycopg

from chaos.broker import Caller
from chaos.rows import TOO_OFTEN, Peace, snapshot

JOB = """
    SELECT state, total, (SELECT COALESCE(SUM(value::int), 0) FROM jsonb_each_text(counts)),
           (SELECT COUNT(*) FROM worker_jobslice WHERE finished IS NULL),
           (SELECT COUNT(*) FROM worker_learneroutcome), (SELECT COUNT(*) FROM worker_linkingjob)
    FROM worker_linkingjob WHERE id = %s::uuid
"""
RESULT = "SELECT status, result FROM django_celery_results_taskresult WHERE task_id = %s"
OTHER_RESULTS = """
    SELECT DISTINCT status, left(result, 300) FROM chaos_result
    WHERE task_id = %s AND status NOT IN ('SUCCESS', 'RETRY')
"""
"""What a caller who looks now and then may have taken for the end."""
COUNTERS = "SELECT COUNT(*) FROM django_celery_results_chordcounter"


@dataclass(slots=True, kw_only=True)
class Report:
    """What a round came to; times in seconds.

    Attributes:
        strikes: name of the fault and when it was over, in order.
        recoveries: seconds until the job made progress again, by name of the fault.
        took: from the request to the answer.
        last: from the last fault to the answer.
        answers: how often the caller's callback was called.
        lost, doubled, hanging, other: what is wrong.
        logs: of workers and beat, where something is.
    """

    seed: int
    strikes: Counter[str] = field(default_factory=Counter)
    recoveries: dict[str, list[float]] = field(default_factory=dict)
    took: float = 0
    last: float = 0
    answers: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    hanging: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    logs: str = ""

    @property
    def violations(self) -> list[str]:
        """All of them."""
        return [*self.lost, *self.doubled, *self.hanging, *self.other]


def judge(report: Report, url: str, caller: Caller, peace: Peace) -> None:
    """Write into ``report`` in what the database and the caller's answers differ from peace."""
    _judge_rows(report, url, peace)
    _judge_job(report, url, caller, peace)
    report.answers = len(caller.answers)
    if not caller.answers:
        report.lost.append("the link= callback was not called")
    if any(answer != peace.errors for answer in caller.answers):
        report.other.append("the link= callback was called with another error dictionary")
    if caller.failures:
        report.other.append(f"link_error= was called: {str(caller.failures)[:300]}")


def _judge_rows(report: Report, url: str, peace: Peace) -> None:
    rows = snapshot(url)
    for table, expected in peace.rows.items():
        missing, extra = expected - rows[table], rows[table] - expected
        if missing:
            report.lost.append(f"{table}: {missing.total():,} missing, such as {next(iter(missing))}")
        if extra:
            report.doubled.append(f"{table}: {extra.total():,} too many, such as {next(iter(extra))}")
    with psycopg.connect(url) as connection:
        if too_often := connection.execute(TOO_OFTEN.encode()).fetchall():
            report.doubled.append(f"course enrollments changed too often: {too_often[:3]}")


def _judge_job(report: Report, url: str, caller: Caller, peace: Peace) -> None:
    with psycopg.connect(url) as connection:
        job = connection.execute(JOB, [caller.job_id]).fetchone()
        result = connection.execute(RESULT, [caller.job_id]).fetchone()
        others = connection.execute(OTHER_RESULTS, [caller.job_id]).fetchall()
        counters = connection.execute(COUNTERS).fetchone()
    total = len(peace.mapping)
    if job != ("done", total, total, 0, total, 1):
        report.hanging.append(f"the job: {job}")
    # As a text, so that the order counts.
    if result is None or result[0] != "SUCCESS" or json.dumps(json.loads(result[1])) != json.dumps(peace.errors):
        report.lost.append(f"the stored result: {result and (result[0], result[1][:300])}")
    if others:
        report.other.append(f"the caller's task was shown as {others} meanwhile")
    if counters != (0,):
        report.hanging.append(f"chord counters left: {counters}")
