"""The checks of a round: compare what it left with the baseline."""

import json
from collections import Counter
from dataclasses import dataclass, field

from django_celery_results.models import TaskResult

from chaos.caller import Caller, Request
from chaos.rows import CHANGED_TOO_OFTEN, Baseline, fetch, snapshot
from worker.models import JobSlice, LearnerOutcome, LinkingJob

OTHER_RESULTS = """
    SELECT DISTINCT status, left(result, 300) FROM chaos_result
    WHERE task_id = %s AND status NOT IN ('SUCCESS', 'RETRY')
"""
"""Results that were stored at any time and that a caller who polls may have taken for the end."""
COUNTERS = "SELECT COUNT(*) FROM django_celery_results_chordcounter"


@dataclass(slots=True, kw_only=True)
class Report:
    """The result of a round; times in seconds.

    Attributes:
        faults: number of faults by name.
        recoveries: times from each fault until the job made progress again, by name of the fault.
        duration: time from the request to the result.
        after_last_fault: time from the last fault to the result.
        results: number of calls of the ``link=`` callback.
        small_jobs: number of small jobs.
        beside: what else happened, by name: COMMITs that were cut, transactions of other programs.
        lost, doubled, hanging, other: descriptions of violations.
        logs: logs of workers and beat, if there is a violation.
    """

    seed: int
    faults: Counter[str] = field(default_factory=Counter)
    recoveries: dict[str, list[float]] = field(default_factory=dict)
    duration: float = 0
    after_last_fault: float = 0
    results: int = 0
    small_jobs: int = 0
    beside: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    hanging: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    logs: str = ""

    @property
    def violations(self) -> list[str]:
        """All violations."""
        return [*self.lost, *self.doubled, *self.hanging, *self.other]


def check_round(report: Report, caller: Caller, request: Request, baseline: Baseline) -> None:
    """Add to ``report`` how the database and the callbacks differ from the baseline."""
    _check_rows(report, baseline)
    _check_job(report, request.job_id, baseline)
    results, failures = caller.results[request.job_id], caller.failures[request.job_id]
    report.results = len(results)
    if not results:
        report.lost.append("the link= callback was not called")
    if any(result != baseline.errors for result in results):
        report.other.append("the link= callback was called with another error dictionary")
    if failures:
        report.other.append(f"link_error= was called: {str(failures)[:300]}")


def _check_rows(report: Report, baseline: Baseline) -> None:
    rows = snapshot()
    for table, expected in baseline.rows.items():
        missing, extra = expected - rows[table], rows[table] - expected
        if missing:
            report.lost.append(f"{table}: {missing.total():,} missing, such as {next(iter(missing))}")
        if extra:
            report.doubled.append(f"{table}: {extra.total():,} too many, such as {next(iter(extra))}")
    if changed_too_often := fetch(CHANGED_TOO_OFTEN):
        report.doubled.append(f"course enrollments changed too often: {changed_too_often[:3]}")


def _check_job(report: Report, job_id: str, baseline: Baseline) -> None:
    found = LinkingJob.objects.filter(pk=job_id).values_list("state", "total", "counts").first()
    state, total_of_job, counts = found or ("", 0, {})
    open_slices = JobSlice.objects.filter(finished=None).count()
    job = (state, total_of_job, sum(counts.values()), open_slices)
    rows = (LearnerOutcome.objects.count(), LinkingJob.objects.count())
    result = TaskResult.objects.filter(task_id=job_id).values_list("status", "result").first()
    others = fetch(OTHER_RESULTS, [job_id])
    ((counters,),) = fetch(COUNTERS)
    total = len(baseline.mapping)
    if (job, rows) != (("done", total, total, 0), (total, 1)):
        report.hanging.append(f"the job: {job}, {rows}")
    # Compared as text: the order of keys matters.
    if result is None or result[0] != "SUCCESS" or json.dumps(json.loads(result[1])) != json.dumps(baseline.errors):
        report.lost.append(f"the stored result: {result and (result[0], result[1][:300])}")
    if others:
        report.other.append(f"other results of the caller's task were stored meanwhile: {others}")
    if counters:
        report.hanging.append(f"chord counters left: {counters}")
