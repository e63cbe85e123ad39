"""A program that ends the processes of a server, and removes its folder, when the process that started it ends.

Its parent keeps a pipe to its standard input, which closes when the parent exits, is interrupted or is killed. Each
line of the input is a process number and the signal that ends this process, or 0 when the process has ended. The
program imports only the standard library, to start fast.
"""

import contextlib
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

END_TIMEOUT = 10.0
"""Seconds between a process's end signal and SIGKILL."""


@contextlib.contextmanager
def signals_deferred() -> Iterator[None]:
    """Defer SIGINT and SIGTERM to the end of the block, so that no process is started without being registered."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python handles signals in the main thread only.
        return
    received: list[int] = []
    handlers = {
        signum: signal.signal(signum, lambda number, _frame: received.append(number))
        for signum in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for signum, handler in handlers.items():
            signal.signal(signum, handler)
        for number in received:
            signal.raise_signal(number)


def has_ended(pid: int) -> bool:
    """Return whether a process does not exist or is a zombie."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return True
    except OSError:  # There is no /proc on macOS.
        return False
    return state == "Z"


def signal_group(pid: int, signum: int) -> None:
    """Send a signal to a process group, if it still exists."""
    with contextlib.suppress(OSError):  # macOS reports EPERM for a zombie.
        os.killpg(pid, signum)


def main(folder: str) -> None:
    """Read registrations until the pipe closes; then end the registered processes and remove the folder."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    registered: dict[int, int] = {}
    for line in sys.stdin:
        pid, signum = map(int, line.split())
        registered[pid] = signum
    running = {pid: signum for pid, signum in registered.items() if signum}
    for pid, signum in running.items():
        signal_group(pid, signum)
    deadline = time.monotonic() + END_TIMEOUT
    while time.monotonic() < deadline and not all(map(has_ended, running)):
        time.sleep(0.02)
    for pid in running:
        signal_group(pid, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1])
