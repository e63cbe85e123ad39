"""One round: a job, a monkey, and the comparison with peace."""

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from chaos.broker import LINK, Caller, leftovers
from chaos.checks import Report, judge
from chaos.environment import Stage
from chaos.faults import FAULTS, NAMES, Scene, deck, order_death
from chaos.injection import struck
from chaos.rows import SAMPLE, Peace, copy_database, database_url, drop_database
from devservers import PostgresServer
from samples.program import PROGRAM_UUID

POLL = 0.1
"""Seconds between two looks at the job's progress."""
QUIET = 5
"""Looks in a row that must find nothing in the broker: a message is nowhere for an instant."""

Look = tuple[str, str | None, bool, int]
"""A job's state, its stored result's, whether it was notified, and how many learners are done."""

PROGRESS = """
    SELECT job.state, (SELECT status FROM django_celery_results_taskresult WHERE task_id = %(job)s::text),
           job.notified IS NOT NULL,
           (SELECT COALESCE(SUM(value::int), 0) FROM worker_jobslice part, jsonb_each_text(part.counts)
            WHERE part.job_id = job.id)
    FROM worker_linkingjob job WHERE job.id = %(job)s::uuid
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How rounds are run.

    Attributes:
        faults: how many the monkey has.
        stall_after: LINKING_STALL_AFTER, seconds.
        visibility_timeout: the broker's, seconds.
        hang_after: seconds after the last fault after which the job counts as hanging.
        env: what workers and beat have in their environment.
    """

    faults: int
    stall_after: float
    visibility_timeout: float
    hang_after: float
    env: Mapping[str, str]


def run_round(seed: int, postgres: PostgresServer, peace: Peace, setting: Setting) -> Report:
    """Run one round on a database of its own."""
    name = f"round_{seed}"
    copy_database(postgres.url, name, SAMPLE)
    url = database_url(postgres.url, name)
    with Stage(postgres, url, setting.env) as stage:
        choice = random.Random(seed)
        options = {"learners_per_subtask": choice.choice((None, None, 100))}
        caller = Caller(stage.redis.url, str(PROGRAM_UUID), peace.mapping, options)
        try:
            report = _Round(seed, Scene(stage, caller, choice, setting.stall_after), url, peace, setting).run()
        finally:
            caller.close()
        if report.violations:
            report.logs = stage.logs()
    drop_database(postgres.url, name)
    return report


class _Round:
    """A round under way."""

    def __init__(self, seed: int, scene: Scene, url: str, peace: Peace, setting: Setting) -> None:
        self._scene = scene
        self._url = url
        self._peace = peace
        self._setting = setting
        self._strikes: list[tuple[float, str]] = []
        self._progress: list[tuple[float, float]] = []
        self._last: Look | None = None
        self._connection: psycopg.Connection[Any] | None = None
        self.report = Report(seed=seed)

    def run(self) -> Report:
        """Ask for the job, disturb it, wait for its end, compare."""
        began = time.time()
        deadline = began + self._setting.hang_after
        for _ in range(self._scene.random.randint(1, 3)):
            order_death(self._scene, LINK)
        for _ in range(self._scene.random.randint(0, 2)):
            order_death(self._scene, "linking.finish_job")
        self._scene.caller.ask()
        cards = deck(self._scene.random, self._setting.faults)
        names = {function: name for name, function in FAULTS.items()}
        total, dealt, patience = len(self._peace.mapping), 0, time.time() + self._next_patience()
        while not self._ended():
            now = time.time()
            if now > deadline:
                self.report.hanging.append(f"no end within {self._setting.hang_after:g} s: {self._last}")
                break
            if dealt < len(cards) and (
                now > patience or self._progress[-1][1] >= total * (dealt + 1) / (len(cards) + 1)
            ):
                card = cards[dealt]
                dealt += 1
                if not card(self._scene):
                    cards.append(card)  # There was nothing to strike: later.
                elif card in names:
                    self._strikes.append((time.time(), names[card]))
                patience = time.time() + self._next_patience()
                deadline = time.time() + self._setting.hang_after
                continue
            time.sleep(POLL)
        ended = time.time()
        self._come_to_rest()
        self._strikes += [(at, NAMES[task]) for at, task in struck(self._scene.stage.orders)]
        self._note_times(began, ended)
        if not self.report.hanging:
            judge(self.report, self._url, self._scene.caller, self._peace)
        return self.report

    def _next_patience(self) -> float:
        return self._scene.random.choice((0.2, 0.5, 1, 2, 3))

    def _look(self) -> Look | None:
        """Return what is known of the job: what was known before while the database is away."""
        try:
            if self._connection is None or self._connection.closed:
                self._connection = psycopg.connect(self._url, autocommit=True, connect_timeout=5)
            return self._connection.execute(PROGRESS, {"job": self._scene.caller.job_id}).fetchone()
        except psycopg.OperationalError:
            self._connection = None
            return self._last

    def _ended(self) -> bool:
        self._last = self._look()
        self._scene.in_ledger = self._last is not None
        _, status, notified, done = self._last or ("", None, False, 0)
        ended = notified and status == "SUCCESS"
        self._progress.append((time.time(), float(done) + ended))
        return ended

    def _come_to_rest(self) -> None:
        """Wait until frozen workers go on, and nothing waits in the broker or is in hand."""
        for thaw in self._scene.thaws:
            thaw.join()
        deadline = time.time() + 2 * self._setting.visibility_timeout + 30
        quiet = 0
        left: dict[str, int] = {}
        while quiet < QUIET and time.time() < deadline:
            left = leftovers(self._scene.stage.redis.url)
            quiet = 0 if left else quiet + 1
            time.sleep(POLL)
        if left:
            self.report.hanging.append(f"left in Redis: {left}")

    def _note_times(self, began: float, ended: float) -> None:
        self._strikes.sort()
        self.report.strikes.update(name for _, name in self._strikes)
        self.report.took = ended - began
        during = [at for at, _ in self._strikes if at <= ended]
        self.report.last = ended - max(during, default=began)
        for at, name in self._strikes:
            before = max((done for moment, done in self._progress if moment <= at), default=0.0)
            after = next((moment for moment, done in self._progress if moment > at and done > before), None)
            if after is not None:
                self.report.recoveries.setdefault(name, []).append(after - at)
