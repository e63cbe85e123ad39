"""One round: send a job, execute faults, and compare the result with the baseline."""

import random
import time
from contextlib import closing

from django.db import DatabaseError, InterfaceError, connection
from django_celery_results.models import TaskResult

from chaos.brokers.interface import Broker
from chaos.caller import LINK, Caller, Request
from chaos.checks import Report, check_round
from chaos.context import Context
from chaos.databases.interface import Database
from chaos.environment import Environment
from chaos.events import find_faults
from chaos.faults import IMMEDIATE, INJECTED_NAMES, choose_faults, inject_kill
from chaos.injection import executed_faults
from chaos.rows import SAMPLE, Baseline, use_database
from chaos.settings import Settings
from chaos.small_checks import check_small_jobs
from chaos.small_jobs import SmallJobs
from chaos.small_rows import remove_small_jobs
from linking.events import Event
from samples.program import PROGRAM_UUID
from worker.models import JobSlice, LinkingJob

POLL = 0.1
"""Seconds between two queries of the job's progress."""
EVENTS_WAIT = 60
"""Seconds in which events must be delivered when all else is done."""
IDLE_CHECKS = 5
"""Consecutive checks that must find no message in the broker: a moving message is briefly in no list."""

Progress = tuple[str, str | None, bool, int]
"""State of the job, status of its stored result, whether it was notified, and number of finished learners."""


def run_round(seed: int, database: Database, broker: Broker, baseline: Baseline, settings: Settings) -> Report:
    """Run one round on a new database."""
    name = f"round_{seed}"
    database.copy(name, SAMPLE)
    use_database(name)
    with Environment(database, broker, name, settings.env) as environment:
        choice = random.Random(seed)
        options = {"learners_per_subtask": choice.choice((None, None, 100))}
        request = Request(mapping=baseline.mapping, options=options)
        with (
            closing(Caller(broker, str(PROGRAM_UUID))) as caller,
            SmallJobs(caller, environment.faults) as small_jobs,
        ):
            context = Context(
                environment, caller, request, small_jobs, choice, settings.stall_after, settings.lock_timeout
            )
            report = _Round(seed, context, baseline, settings).run()
        if report.violations:
            report.logs = environment.logs()
    connection.close()
    database.drop(name)
    return report


class _Round:
    """The state of a round."""

    def __init__(self, seed: int, context: Context, baseline: Baseline, settings: Settings) -> None:
        self._context = context
        self._baseline = baseline
        self._settings = settings
        self._faults: list[tuple[float, str]] = []  # Time and name.
        self._history: list[tuple[float, float]] = []  # Time and progress.
        self._last: Progress | None = None
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
        self._record_others()
        if not self.report.hanging:
            connection.close()  # A fault may have ended its session.
            check_small_jobs(self.report, self._context.small_jobs, self._context.losses)
            for kind, found in find_faults(self._context.environment.events, self._baseline.transitions).items():
                getattr(self.report, kind).extend(found)
            remove_small_jobs()
            check_round(self.report, self._context.caller, self._context.request, self._baseline)
        return self.report

    def _execute_faults(self) -> None:
        """Execute faults until the job has ended: the next one when the job has progressed, or after some time."""
        faults = choose_faults(self._context.random, self._settings.faults)
        names = {function: name for name, function in IMMEDIATE.items()}
        executed, next_at, deadline = 0, time.time() + self._delay(), time.time() + self._settings.hang_after
        progress: tuple[object, ...] = ()
        while not self._ended():
            now = time.time()
            if progress != (progress := (self._last, len(self._context.small_jobs.left))):
                deadline = now + self._settings.hang_after
            if now > deadline:
                self.report.hanging.append(f"no progress within {self._settings.hang_after:g} s: {self._last}")
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
        job_id = self._context.request.job_id
        try:
            job = LinkingJob.objects.filter(pk=job_id).values_list("state", "notified").first()
            if job is None:
                return None
            counts = JobSlice.objects.filter(job__pk=job_id).values_list("counts", flat=True)
            done = sum(sum(each.values()) for each in counts)
            status = TaskResult.objects.filter(task_id=job_id).values_list("status", flat=True).first()
        except (DatabaseError, InterfaceError):
            connection.close()
            return self._last
        return job[0], status, job[1] is not None, done

    def _ended(self) -> bool:
        self._last = self._read_progress()
        self._context.in_ledger = self._last is not None
        _, status, notified, done = self._last or ("", None, False, 0)
        ended = notified and status == "SUCCESS"
        self._history.append((time.time(), float(done) + ended))
        return ended

    def _wait_until_idle(self) -> None:
        """Wait until stopped workers have continued, locks are released, and the broker has no messages."""
        for thread in self._context.threads:
            thread.join()
        deadline = time.time() + 2 * self._settings.visibility_timeout + 30
        idle_checks = 0
        left: dict[str, int] = {}
        while idle_checks < IDLE_CHECKS and time.time() < deadline:
            left = self._context.environment.broker.leftovers()
            idle_checks = 0 if left else idle_checks + 1
            time.sleep(POLL)
        while _has_events() and time.time() < deadline + EVENTS_WAIT:
            time.sleep(POLL)
        if left:
            self.report.hanging.append(f"left in the broker: {left}")

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

    def _record_others(self) -> None:
        for cut, count in self._context.environment.proxy.cut.items():
            self.report.beside[f"connection ended in COMMIT {cut.value}"] = count
        for outcome, count in self._context.neighbours.items():
            if outcome.startswith("failed"):
                self.report.other.append(f"{count} transactions of another program {outcome}")
            self.report.beside[f"transaction of another program {outcome}"] = count


def _has_events() -> bool:
    try:
        return Event.objects.exists()
    except (DatabaseError, InterfaceError):
        connection.close()
        return True
