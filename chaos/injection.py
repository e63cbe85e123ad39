"""What chaos loads into its workers and its beat: times that suit a short round, and death in the middle of a task.

An *order* is a file ``order-TASK-NUMBER`` in the folder that ``CHAOS_ORDERS`` names; it holds a :class:`FaultOrder` as
JSON. The next process that begins the task takes the order and carries it out when it comes to the place.
"""

import json
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from celery import signals

from worker.celery import app

ORDERS = "CHAOS_ORDERS"
"""The folder of the orders."""
VISIBILITY_TIMEOUT = "CHAOS_VISIBILITY_TIMEOUT"
"""Seconds after which the broker hands out again what a dead worker had in hand; where not set, as in production."""
SWEEP_EVERY = "CHAOS_SWEEP_EVERY"
"""Seconds between two looks for jobs that stand still; where not set, as in production."""

IMPORT_EVERY = "CHAOS_IMPORT_EVERY"
"""Seconds between two looks into the inbox, instead of a time of day."""

COUNTED = (
    str(Path(__file__).resolve().parents[1] / "worker"),
    f"{os.sep}django_celery_results{os.sep}",
    str(Path("celery", "backends")),
)
"""Parts of the paths of those modules whose lines count: ours, and what stores results."""

if seconds := os.environ.get(VISIBILITY_TIMEOUT):
    app.conf.broker_transport_options = {
        **app.conf.broker_transport_options,
        "visibility_timeout": float(seconds),
        "unacked_restore_interval": 1,
    }
if seconds := os.environ.get(SWEEP_EVERY):
    app.conf.beat_schedule["resume-stalled-jobs"]["schedule"] = float(seconds)
if seconds := os.environ.get(IMPORT_EVERY):
    app.conf.beat_schedule["import-inbox"]["schedule"] = float(seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultOrder:
    """What is to happen in the middle of a task.

    Attributes:
        line: after how many lines; 0 for none.
        function: on entering which function of ours; empty for none.
        act: ``child``: the pool child is killed; ``worker``: with its whole worker; ``hang``: it never goes on.
    """

    line: int = 0
    function: str = ""
    act: str = "child"


def give_order(folder: Path, task: str, order: FaultOrder) -> None:
    """Give an order to whoever runs ``task`` next; several are taken in the order in which they are given."""
    number = time.monotonic_ns()
    draft = folder / f"draft-{number}"
    draft.write_text(json.dumps(asdict(order)))
    draft.rename(folder / f"order-{task}-{number:020}")


def struck(folder: Path) -> list[tuple[float, str]]:
    """Return the orders that were carried out: when (seconds since the epoch), and in which task."""
    return sorted((path.stat().st_mtime, path.name.split("-")[1]) for path in folder.glob("struck-*"))


@signals.task_prerun.connect
def take_order(task: Any, **_: object) -> None:
    """Take the first order for ``task``, if there is one."""
    folder = os.environ.get(ORDERS)
    if folder is None:
        return
    for path in sorted(Path(folder).glob(f"order-{task.name}-*")):
        taken = path.with_name(path.name.replace("order-", "taken-", 1))
        try:
            path.rename(taken)
        except FileNotFoundError:
            continue  # Somebody else was faster.
        sys.settrace(_Executioner(FaultOrder(**json.loads(taken.read_text())), taken))
        return


@signals.task_postrun.connect
def let_live(**_: object) -> None:
    """Forget an order whose place the task did not come to."""
    if isinstance(sys.gettrace(), _Executioner):
        sys.settrace(None)


class _Executioner:
    """A trace function that waits for the place of its order."""

    def __init__(self, order: FaultOrder, taken: Path) -> None:
        self._order = order
        self._left = order.line
        self._taken = taken

    def __call__(self, frame: FrameType, event: str, _: object) -> "_Executioner | None":
        if not any(part in frame.f_code.co_filename for part in COUNTED):
            return None
        if event == "call" and frame.f_code.co_name == self._order.function:
            self._strike()
        if event == "line":
            self._left -= 1
            if self._left == 0:
                self._strike()
        return self

    def _strike(self) -> None:
        self._taken.touch()  # Its time is that of the stroke, not of the order.
        self._taken.rename(self._taken.with_name(self._taken.name.replace("taken-", "struck-", 1)))
        if self._order.act == "hang":
            sys.settrace(None)
            time.sleep(3600)
        elif self._order.act == "worker":
            os.killpg(os.getpgrp(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
