"""Fault injection: kill or hang a process in the middle of a task. Workers and beat of chaos load this module.

A fault is a file ``pending-TASK-NUMBER`` in the folder that ``CHAOS_FAULTS`` names; it holds a :class:`Fault` as JSON.
The next process that begins the task claims the fault, and executes it when the task reaches the given place. The fault
in a file ``always-TASK_ID`` is executed in each run of the task with this id. The module also sets the intervals of a
short round, which environment variables name.
"""

import json
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from celery import signals
from django.db.backends.signals import connection_created

from chaos.databases.mysql import number_transactions
from worker.celery import app

FAULTS = "CHAOS_FAULTS"
"""Variable with the folder of the faults."""
EVENTS = "CHAOS_EVENTS"
"""Variable with the file to which :mod:`chaos.events` writes what it receives."""
VISIBILITY_TIMEOUT = "CHAOS_VISIBILITY_TIMEOUT"
"""Variable with the seconds until Redis redelivers an unacknowledged message; the default is that of production."""
RECOVERY_INTERVAL = "CHAOS_RECOVERY_INTERVAL"
"""Variable with the seconds between two runs of the recovery task; the default is that of production."""
IMPORT_INTERVAL = "CHAOS_IMPORT_INTERVAL"
"""Variable with the seconds between two imports of the inbox, instead of a time of day."""

COUNTED = (
    str(Path(__file__).resolve().parents[1] / "worker"),
    f"{os.sep}django_celery_results{os.sep}",
    str(Path("celery", "backends")),
)
"""Parts of paths: only lines of these modules are counted, which are our own and those that store results."""

connection_created.connect(number_transactions)
if (seconds := os.environ.get(VISIBILITY_TIMEOUT)) and "visibility_timeout" in app.conf.broker_transport_options:
    app.conf.broker_transport_options = {
        **app.conf.broker_transport_options,
        "visibility_timeout": float(seconds),
        "unacked_restore_interval": 1,
    }
if seconds := os.environ.get(RECOVERY_INTERVAL):
    app.conf.beat_schedule["resume-stalled-jobs"]["schedule"] = float(seconds)
if seconds := os.environ.get(IMPORT_INTERVAL):
    app.conf.beat_schedule["import-inbox"]["schedule"] = float(seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault in the middle of a task.

    Attributes:
        line: number of lines that the task executes before the fault; 0 for no limit.
        function: name of the function of ours whose call triggers the fault; empty for none.
        action: whether to kill the pool child, to kill its whole worker, or to hang the task for an hour.
    """

    line: int = 0
    function: str = ""
    action: Literal["kill_child", "kill_worker", "hang"] = "kill_child"


def inject_fault(folder: Path, task: str, fault: Fault) -> None:
    """Inject a fault into the next run of ``task``; several faults are claimed in order of injection."""
    number = time.monotonic_ns()
    draft = folder / f"draft-{number}"
    draft.write_text(json.dumps(asdict(fault)))
    draft.rename(folder / f"pending-{task}-{number:020}")


def inject_fault_always(folder: Path, task_id: str, fault: Fault) -> None:
    """Inject a fault into each run of the task with this id."""
    (folder / f"always-{task_id}").write_text(json.dumps(asdict(fault)))


def pending_faults(folder: Path) -> list[Path]:
    """Return the files of the faults that no task has claimed."""
    return sorted(folder.glob("pending-*"))


def executed_faults(folder: Path) -> list[tuple[float, str]]:
    """Return time (seconds since the epoch) and task of each executed fault."""
    return sorted((path.stat().st_mtime, path.name.split("-")[1]) for path in folder.glob("executed-*"))


@signals.task_prerun.connect
def claim_fault(task_id: str, task: Any, **_: object) -> None:
    """Prepare the fault of this task id, or claim the first pending fault of ``task``, if there is one."""
    folder = os.environ.get(FAULTS)
    if folder is None:
        return
    always = Path(folder) / f"always-{task_id}"
    if always.exists():
        sys.settrace(_FaultTrace(Fault(**json.loads(always.read_text()))))
        return
    for path in sorted(Path(folder).glob(f"pending-{task.name}-*")):
        claimed = path.with_name(path.name.replace("pending-", "claimed-", 1))
        try:
            path.rename(claimed)
        except FileNotFoundError:
            continue  # Another process was faster.
        sys.settrace(_FaultTrace(Fault(**json.loads(claimed.read_text())), claimed))
        return


@signals.task_postrun.connect
def discard_fault(**_: object) -> None:
    """Discard a fault whose place the task did not reach."""
    if isinstance(sys.gettrace(), _FaultTrace):
        sys.settrace(None)


class _FaultTrace:
    """A trace function that executes a fault at its place."""

    def __init__(self, fault: Fault, file: Path | None = None) -> None:
        self._fault = fault
        self._lines_left = fault.line
        self._file = file

    def __call__(self, frame: FrameType, event: str, _: object) -> "_FaultTrace | None":
        if not any(part in frame.f_code.co_filename for part in COUNTED):
            return None
        if event == "call" and frame.f_code.co_name == self._fault.function:
            self._execute()
        if event == "line":
            self._lines_left -= 1
            if self._lines_left == 0:
                self._execute()
        return self

    def _execute(self) -> None:
        if self._file is not None:
            self._file.touch()  # The file's time is that of the execution.
            self._file.rename(self._file.with_name(self._file.name.replace("claimed-", "executed-", 1)))
        if self._fault.action == "hang":
            sys.settrace(None)
            time.sleep(3600)
        elif self._fault.action == "kill_worker":
            os.killpg(os.getpgrp(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
