"""Processes that import files, and are killed as by kill -9 after a number of executed lines."""

import os
import signal
import sys
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from types import FrameType
from typing import Any

SURVIVED = 0
KILLED = -signal.SIGKILL


def work_through(folder: Path, modules: tuple[str, ...] = (), line: int = 0, processes: int = 1) -> list[int]:
    """Claim the files of an inbox, run their jobs and advance them, in separate processes; return their exit codes.

    Args:
        folder: the inbox.
        modules: ends of the paths of the modules whose lines count.
        line: number of lines after which a process is killed; 0: never.
        processes: number of processes that work at once.
    """
    return _in_processes(processes, _work, folder, modules, line)


def import_in_place(path: Path, modules: tuple[str, ...] = (), line: int = 0, processes: int = 1) -> list[int]:
    """Import a file that stays where it is, in separate processes; return their exit codes.

    Args:
        path: the file.
        modules: as for :func:`work_through`, and so are the others.
        line: see there.
        processes: see there.
    """
    return _in_processes(processes, _import_in_place, path, modules, line)


def _in_processes(number: int, work: Callable[..., None], *args: object) -> list[int]:
    context = get_context("forkserver")
    context.set_forkserver_preload(["tests.support.forkserver_preload"])
    started = [context.Process(target=work, args=args) for _ in range(number)]
    for process in started:
        process.start()
    for process in started:
        process.join()
    return [process.exitcode or 0 for process in started]


def _kill_after(modules: tuple[str, ...], line: int) -> Callable[[FrameType, str, object], Any]:
    """Return a trace function that kills the process after so many lines of the modules."""
    left = line

    def count(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left
        if not frame.f_code.co_filename.endswith(modules):
            return None
        if event == "line":
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
        return count

    return count


def _work(folder: Path, modules: tuple[str, ...], line: int) -> None:
    from tests.support.jobs import run  # noqa: PLC0415 - Django is set up in that process
    from worker.imports import folder as inbox_folder  # noqa: PLC0415
    from worker.imports import inbox  # noqa: PLC0415
    from worker.models import LinkingJob  # noqa: PLC0415

    inbox_folder.SETTLE_SECONDS = 0.0
    count = _kill_after(modules, line)
    if modules:
        sys.settrace(count)
    settled = inbox_folder.list_inbox(folder).settled
    for file in inbox.claim_files(folder, settled):
        sys.settrace(None)
        for job in LinkingJob.objects.filter(pk__in=file.jobs, state="received"):
            run(job)
        if modules:
            sys.settrace(count)
    for _ in inbox.advance_files(folder):
        pass
    sys.settrace(None)


def _import_in_place(path: Path, modules: tuple[str, ...], line: int) -> None:
    from worker.imports import submission  # noqa: PLC0415 - Django is set up in that process

    if modules:
        sys.settrace(_kill_after(modules, line))
    submission.import_in_place(path)
    sys.settrace(None)
