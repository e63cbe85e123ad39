"""Small jobs beside the large one: a burst, one with a callback that cannot be sent, and one that ends its worker.

Each has one learner of the large job's program. Some learners are in several jobs, in turn with one user and with
another. Such a job is sent when the ledger has the one before it: the order of their submission is known, and with it
each result and each change.
"""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.db import DatabaseError, InterfaceError, connection
from django_celery_results.models import TaskResult

from chaos.caller import BROKER_ERRORS, RESULTS, Caller, Request
from chaos.injection import Fault, inject_fault_always
from chaos.small_rows import JOBS_OF_SHARED, LEARNERS, SHARED, SINGLE, username_of
from worker.models import LinkingJob

POLL = 0.1
"""Seconds between two queries of the ledger."""
RESEND_AFTER = 15.0
"""Seconds after which a caller sends a request again that the ledger does not know."""
UNSENDABLE: tuple[dict[str, Any], ...] = (
    {"options": {"queue": RESULTS, "countdown": "soon"}},
    {"options": {"queue": 7}},
    {"options": {"queue": RESULTS, "serializer": "unknown"}},
    {"options": {"queue": RESULTS}, "args": None},
)
"""Parts of callbacks that cannot be sent."""


@dataclass(slots=True, kw_only=True, eq=False)
class SmallJob:
    """A job of one learner.

    Attributes:
        key, username: the learner.
        before: the job over the same learner that is submitted before this one.
        refused: whether the job must end with a failure.
        sent: time at which its request was last sent.
        known: whether the ledger has it.
        ended: whether its result is stored.
    """

    key: str
    username: str
    before: "SmallJob | None" = None
    refused: bool = False
    callbacks: tuple[dict[str, Any], ...] = ()
    sent: float = 0.0
    known: bool = False
    ended: bool = False
    job_id: str = field(default_factory=lambda: str(uuid4()))

    @property
    def request(self) -> Request:
        """The request of the job."""
        return Request(mapping={self.key: self.username}, callbacks=self.callbacks, job_id=self.job_id)


class SmallJobs:
    """The callers of small jobs. A context manager: a thread sends what is due, and again what was lost.

    Args:
        caller: it sends the requests.
        faults: folder of injected faults.
    """

    def __init__(self, caller: Caller, faults: Path) -> None:
        self.jobs: list[SmallJob] = []
        self.caller = caller
        self._faults = faults
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="small jobs")

    def __enter__(self) -> "SmallJobs":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join()

    def add_burst(self, singles: int) -> None:
        """Send the burst, in which at most ``singles`` learners have one job."""
        burst = []
        for key in LEARNERS[: SHARED + min(singles, SINGLE)]:
            before = None
            for turn in range(JOBS_OF_SHARED if key in LEARNERS[:SHARED] else 1):
                before = SmallJob(key=key, username=username_of(key, turn), before=before)
                burst.append(before)
        self.jobs += burst

    def add_unsendable(self, choice: random.Random) -> None:
        """Send a request with a callback that cannot be sent, beside one that can."""
        callback: dict[str, Any] = {
            "task": "caller.receive",
            "args": [],
            "kwargs": {},
            "subtask_type": None,
            "immutable": False,
        }
        bad = callback | choice.choice(UNSENDABLE)
        self.jobs.append(SmallJob(key=LEARNERS[-2], username=username_of(LEARNERS[-2], 0), callbacks=(bad,)))

    def add_deadly(self) -> None:
        """Send a request that ends its worker each time before it is in the ledger."""
        job = SmallJob(key=LEARNERS[-1], username=username_of(LEARNERS[-1], 0), refused=True)
        inject_fault_always(self._faults, job.job_id, Fault(function="parse_link_request"))
        self.jobs.append(job)

    @property
    def left(self) -> list[str]:
        """The ids of the jobs that have not ended."""
        return [job.job_id for job in self.jobs if not job.ended]

    def wait(self, seconds: float) -> list[str]:
        """Wait until all jobs have ended; return the ids of those that are left if none ends within so many seconds."""
        left, deadline = self.left, time.time() + seconds
        while left and time.time() < deadline:
            time.sleep(POLL)
            if len(self.left) < len(left):
                left, deadline = self.left, time.time() + seconds
        return left

    def _run(self) -> None:
        try:
            self._send_and_read()
        finally:
            connection.close()

    def _send_and_read(self) -> None:
        while not self._closed.wait(POLL):
            try:
                self._read_ledger()
            except (DatabaseError, InterfaceError):
                connection.close()
            for job in self._due():
                with suppress(*BROKER_ERRORS):  # Sent again later.
                    job.sent = time.time()
                    self.caller.send(job.request)

    def _due(self) -> Iterator[SmallJob]:
        for job in list(self.jobs):
            is_first = job.before is None or job.before.known
            if is_first and not job.known and not job.ended and job.sent < time.time() - RESEND_AFTER:
                yield job

    def _read_ledger(self) -> None:
        open_jobs = [job for job in self.jobs if not job.ended]
        if not open_jobs:
            return
        ids = [job.job_id for job in open_jobs]
        notified = {
            str(job_id): announced is not None
            for job_id, announced in LinkingJob.objects.filter(pk__in=ids).values_list("pk", "notified")
        }
        results = TaskResult.objects.filter(task_id__in=ids, status__in=["SUCCESS", "FAILURE"])
        stored = set(results.values_list("task_id", flat=True))
        for job in open_jobs:
            job.known = job.job_id in notified
            job.ended = job.job_id in stored and notified.get(job.job_id, True)
