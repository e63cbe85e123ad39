"""The targets of the faults of a round."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from chaos.caller import Caller, Request
from chaos.environment import Environment
from chaos.small_jobs import SmallJobs


@dataclass(slots=True)
class Context:
    """The targets of the faults.

    Attributes:
        stall_after: ``LINKING_STALL_AFTER`` of the workers in seconds.
        lock_timeout: ``LINKING_LOCK_TIMEOUT`` of the workers in seconds.
        small_jobs: jobs beside the large one.
        in_ledger: whether the ledger contains the job. Before, only the broker does: emptying it would lose the job.
        losses: begin and end of each time at which the broker lost all messages.
        threads: timers that continue stopped workers, and threads that hold locks.
        neighbours: what the transactions of other programs came to, such as lost deadlocks.
    """

    environment: Environment
    caller: Caller
    request: Request
    small_jobs: SmallJobs
    random: random.Random
    stall_after: float
    lock_timeout: float
    in_ledger: bool = False
    losses: list[tuple[float, float]] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)
    neighbours: Counter[str] = field(default_factory=Counter)

    def run_later(self, seconds: float, function: Callable[..., object], *args: object) -> None:
        """Call a function after some seconds; the round waits for it."""
        timer = threading.Timer(seconds, function, args)
        timer.start()
        self.threads.append(timer)

    def run_beside(self, function: Callable[..., object], *args: object) -> None:
        """Call a function in a thread; the round waits for it."""
        thread = threading.Thread(target=function, args=args)
        thread.start()
        self.threads.append(thread)
