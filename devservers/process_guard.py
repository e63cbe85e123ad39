"""Processes and a folder that end with whoever started them, however that one ends.

The holder starts this file as a program beside its servers and keeps a pipe to it. When the pipe closes (the holder has
finished, was interrupted, or was killed on the spot) the program ends the processes it was told of and removes the
folder. It runs in a session of its own, so that Ctrl-C in a terminal does not reach it, and imports the standard
library only, so that it starts in an instant.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Self

PATIENCE = 10.0
"""Seconds that a process gets between its own ending signal and SIGKILL."""


@contextlib.contextmanager
def signals_held_back() -> Iterator[None]:
    """Hold SIGINT and SIGTERM back until the block is done: nothing is started that nobody knows of."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Signals are handled in the main thread only.
        return
    held: list[int] = []

    def hold(signum: int, _frame: FrameType | None) -> None:
        held.append(signum)

    former = {name: signal.signal(name, hold) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for name, handler in former.items():
            signal.signal(name, handler)
        for signum in held:
            signal.raise_signal(signum)


class ProcessGuard:
    """A private folder, and the processes that live in it.

    A context manager: leaving it ends the processes and removes the folder.

    Args:
        name: the beginning of the folder's name.
        place: where the folder is made; the system's place for temporary files by default.
    """

    def __init__(self, name: str, place: Path | None = None) -> None:
        self._name = name
        self._place = place

    def __enter__(self) -> Self:
        with signals_held_back():
            self.folder = Path(tempfile.mkdtemp(prefix=f"{self._name}-", dir=self._place))
            self._keeper = subprocess.Popen(  # noqa: S603 - our own file
                [sys.executable, "-I", "-S", __file__, str(self.folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                text=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._keeper.stdin is not None  # noqa: S101 - for the type checker: it was asked to be a pipe
        self._keeper.stdin.close()
        self._keeper.wait()

    def start(
        self,
        command: Sequence[str],
        *,
        log: Path,
        end: signal.Signals = signal.SIGKILL,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        uid: int | None = None,
        gid: int | None = None,
    ) -> "subprocess.Popen[bytes]":
        """Start a process in a session of its own.

        Args:
            command: the program and its arguments.
            log: the file that takes its output.
            end: the signal that ends it when the leash does.
            env: its environment; ours by default.
            cwd: its folder; ours by default.
            uid: the system user that runs it; ours by default.
            gid: that user's group.
        """
        with signals_held_back(), log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603 - the callers are demo, tests and benchmarks
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=env,
                cwd=cwd,
                user=uid,
                group=gid,
                extra_groups=None if uid is None else [],
            )
            self._tell(f"{process.pid} {int(end)}")
        return process

    def release(self, process: "subprocess.Popen[bytes]") -> None:
        """Forget a process that has ended: its number may soon be another's."""
        self._tell(f"{process.pid} 0")

    def _tell(self, line: str) -> None:
        assert self._keeper.stdin is not None  # noqa: S101 - for the type checker: it was asked to be a pipe
        self._keeper.stdin.write(line + "\n")
        self._keeper.stdin.flush()


def _has_ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    try:  # Where nobody collects it, an ended process stays as a zombie; Linux tells.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False


def _signal_group(pid: int, signum: int) -> None:
    with contextlib.suppress(OSError):  # It may be gone already.
        os.killpg(pid, signum)


def _keep(folder: str) -> None:
    """Wait for the end of standard input, then end every process that was named there and remove ``folder``."""
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    ends: dict[int, int] = {}
    for line in sys.stdin:
        pid, signum = map(int, line.split())
        if signum:
            ends[pid] = signum
        else:
            ends.pop(pid, None)
    for pid, signum in ends.items():
        _signal_group(pid, signum)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and not all(map(_has_ended, ends)):
        time.sleep(0.02)
    for pid in ends:
        _signal_group(pid, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _keep(sys.argv[1])
