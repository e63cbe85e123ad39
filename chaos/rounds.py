"""One round: send a job, execute faults, and compare the result with the baseline."""

import random
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg

from chaos.broker import LINK, Caller, Request, leftovers
from chaos.checks import Report, check_round
from chaos.environment import Environment
from chaos.faults import IMMEDIATE, INJECTED_NAMES, Context, choose_faults, inject_kill
from chaos.injection import executed_faults
from chaos.rows import SAMPLE, Baseline, copy_database, database_url, drop_database
from chaos.small_checks import check_small_jobs
from chaos.small_jobs import SmallJobs
from chaos.small_rows import remove_small_jobs
from devservers import PostgresServer
from samples.program import PROGRAM_UUID

POLL = 0.1
"""Seconds between two queries of the job's progress."""
IDLE_CHECKS = 5
"""Consecutive checks that must find no message in the broker: a moving message is briefly in no list."""

Progress = tuple[str, str | None, bool, int]
"""State of the job, status of its stored result, whether it was notified, and number of finished learners."""

PROGRESS = """
    SELECT job.state, (SELECT status FROM django_celery_results_taskresult WHERE task_id = %(job)s::text),
           job.announced IS NOT NULL,
           (SELECT COALESCE(SUM(value::int), 0) FROM worker_jobslice part, jsonb_each_text(part.counts)
            WHERE part.job_id = job.id)
    FROM worker_linkingjob job WHERE job.id = %(job)s::uuid
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of all rounds.

    Attributes:
        faults: number of faults per round.
        stall_after: LINKING_STALL_AFTER in seconds.
        visibility_timeout: visibility timeout of the broker in seconds.
        hang_after: seconds after the last fault until a job counts as hanging.
        env: environment variables of workers and beat.
    """

    faults: int
    stall_after: float
    visibility_timeout: float
    hang_after: float
    env: Mapping[str, str]


def run_round(seed: int, postgres: PostgresServer, baseline: Baseline, settings: Settings) -> Report:
    """Run one round on a new database."""
    name = f"round_{seed}"
    copy_database(postgres.url, name, SAMPLE)
    url = database_url(postgres.url, name)
    with Environment(postgres, url, settings.env) as environment:
        choice = random.Random(seed)
        options = {"learners_per_subtask": choice.choice((None, None, 100))}
        request = Request(mapping=baseline.mapping, options=options)
        with (
            closing(Caller(environment.redis.url, str(PROGRAM_UUID))) as caller,
            SmallJobs(caller, url, environment.faults) as small_jobs,
        ):
            context = Context(environment, caller, request, small_jobs, choice, settings.stall_after)
            report = _Round(seed, context, url, baseline, settings).run()
        if report.violations:
            report.logs = environment.logs()
    drop_database(postgres.url, name)
    return report


class _Round:
    """The state of a round."""

    def __init__(self, seed: int, context: Context, url: str, baseline: Baseline, settings: Settings) -> None:
        self._context = context
        self._url = url
        self._baseline = baseline
        self._settings = settings
        self._faults: list[tuple[float, str]] = []  # Time and name.
        self._history: list[tuple[float, float]] = []  # Time and progress.
        self._last: Progress | None = None
        self._connection: psycopg.Connection[Any] | None = None
        self.report = Report(seed=seed)

    def run(self) -> Report:
        """Send the request, execute the faults, wait for the end of the job, and check the result."""
        choice = self._context.random
        began = time.time()
        for _ in range(choice.randint(1, 3)):
            inject_kill(self._context, LINK)
        for _ in range(choice.randint(0, 2)):
            inject_kill(self._context, "linking.finish_job")
        self._context.caller.send(self._context.request)
        self._execute_faults()
        ended = time.time()
        if left := self._context.small_jobs.wait(self._settings.hang_after):
            self.report.hanging.append(f"{len(left)} small jobs, such as {left[0]}")
        self._wait_until_idle()
        executed = executed_faults(self._context.environment.faults)
        self._faults += [(at, INJECTED_NAMES[task]) for at, task in executed]
        self._record_times(began, ended)
        if not self.report.hanging:
            check_small_jobs(self.report, self._url, self._context.small_jobs, self._context.losses)
            remove_small_jobs(self._url)
            check_round(self.report, self._url, self._context.caller, self._context.request, self._baseline)
        return self.report

    def _execute_faults(self) -> None:
        """Execute faults until the job has ended: the next one when the job has progressed, or after some time."""
        faults = choose_faults(self._context.random, self._settings.faults)
        names = {function: name for name, function in IMMEDIATE.items()}
        executed, next_at, deadline = 0, time.time() + self._delay(), time.time() + self._settings.hang_after
        while not self._ended():
            now = time.time()
            if now > deadline:
                self.report.hanging.append(f"no end within {self._settings.hang_after:g} s: {self._last}")
                break
            progress_due = len(self._baseline.mapping) * (executed + 1) / (len(faults) + 1)
            if executed < len(faults) and (now > next_at or self._history[-1][1] >= progress_due):
                fault = faults[executed]
                executed += 1
                if not fault(self._context):
                    faults.append(fault)  # It was not possible now: try it again later.
                elif fault in names:
                    self._faults.append((time.time(), names[fault]))
                next_at = time.time() + self._delay()
                deadline = time.time() + self._settings.hang_after
                continue
            time.sleep(POLL)

    def _delay(self) -> float:
        """Return the seconds until the next fault if the job does not progress."""
        return self._context.random.choice((0.2, 0.5, 1, 2, 3))

    def _read_progress(self) -> Progress | None:
        """Return the job's progress; the last known one if the database is not available."""
        try:
            if self._connection is None or self._connection.closed:
                self._connection = psycopg.connect(self._url, autocommit=True, connect_timeout=5)
            return self._connection.execute(PROGRESS, {"job": self._context.request.job_id}).fetchone()
        except psycopg.OperationalError:
            self._connection = None
            return self._last

    def _ended(self) -> bool:
        self._last = self._read_progress()
        self._context.in_ledger = self._last is not None
        _, status, notified, done = self._last or ("", None, False, 0)
        ended = notified and status == "SUCCESS"
        self._history.append((time.time(), float(done) + ended))
        return ended

    def _wait_until_idle(self) -> None:
        """Wait until stopped workers have continued and the broker has no messages."""
        for timer in self._context.timers:
            timer.join()
        deadline = time.time() + 2 * self._settings.visibility_timeout + 30
        idle_checks = 0
        left: dict[str, int] = {}
        while idle_checks < IDLE_CHECKS and time.time() < deadline:
            left = leftovers(self._context.environment.redis.url)
            idle_checks = 0 if left else idle_checks + 1
            time.sleep(POLL)
        if left:
            self.report.hanging.append(f"left in Redis: {left}")

    def _record_times(self, began: float, ended: float) -> None:
        self._faults.sort()
        self.report.faults.update(name for _, name in self._faults)
        self.report.duration = ended - began
        self.report.after_last_fault = ended - max((at for at, _ in self._faults if at <= ended), default=began)
        for at, name in self._faults:
            before = max((done for moment, done in self._history if moment <= at), default=0.0)
            after = next((moment for moment, done in self._history if moment > at and done > before), None)
            if after is not None:
                self.report.recoveries.setdefault(name, []).append(after - at)
