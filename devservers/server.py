"""The base class of the private servers: a process that starts, stops, starts again, and ends with its parent."""

import importlib.util
import signal
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT, Popen, TimeoutExpired
from typing import Any, Self

import psutil

from devservers import process_guard

START_TIMEOUT = 60.0
"""Seconds until a server that does not answer counts as failed."""
STOP_TIMEOUT = 20.0
"""Seconds that a server gets to stop before it is killed."""


class ServerError(RuntimeError):
    """A private server cannot be started; the message ends with its log, if there is one."""

    def __init__(self, server: str, fault: str, log: Path | None = None) -> None:
        tail = f"; its log ends:\n{log.read_text(errors='replace')[-4000:]}" if log else ""
        super().__init__(f"{server} {fault}{tail}")


class Server(ABC):
    """A process that can be stopped or killed and started again at the same address.

    A context manager: entering it starts the process; leaving it ends the process and removes its folder. The same
    happens when the current process ends (:mod:`devservers.process_guard`).
    """

    name: str
    """The server's name in messages and file names."""
    stop_signal = signal.SIGTERM
    """Signal that stops the process after its current work."""
    end_signal = signal.SIGKILL
    """Signal that ends the process when its data is not needed any more."""
    parent_folder: Path | None = None
    """Where the server's folder is created; None for the system's folder for temporary files."""

    def __enter__(self) -> Self:
        self._process: Popen[bytes] | None = None
        with process_guard.signals_deferred():
            self.folder = Path(tempfile.mkdtemp(prefix=f"linking-{self.name}-", dir=self.parent_folder))
            command = [sys.executable, "-I", "-S", process_guard.__file__, str(self.folder)]
            # A session of its own: Ctrl-C in a terminal does not reach the guard.
            self._guard = Popen(command, stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True)  # noqa: S603
        assert self._guard.stdin is not None  # noqa: S101 - for the type checker
        self._guard_input = self._guard.stdin
        self.log = self.folder / f"{self.name}.log"
        try:
            self.prepare()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._end(self.end_signal)
        finally:
            self._guard.communicate()  # Closes the pipe and waits until the guard has removed the folder.

    @property
    def is_running(self) -> bool:
        """Whether the process was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process number of the running server."""
        if self._process is None:
            raise ServerError(self.name, "is not running")
        return self._process.pid

    def prepare(self) -> None:  # noqa: B027 - most servers need nothing
        """Create what the server needs before its first start."""

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Return the program and its arguments."""

    def answers(self) -> bool:
        """Return whether the server is ready for its clients; by default, whether it runs."""
        return self.is_running

    def process_options(self) -> dict[str, Any]:
        """Return further arguments of :class:`subprocess.Popen`."""
        return {}

    def start(self) -> None:
        """Start the process and wait until it answers.

        Raises:
            ServerError: the process ended, or does not answer in time.
        """
        if self.is_running:
            raise ServerError(self.name, "is running already")
        self.kill()  # The children of a process that has ended.
        self._process = process = self.run(self.command())
        deadline = time.monotonic() + START_TIMEOUT
        while not self.answers():
            status = process.poll()
            if status is not None or time.monotonic() > deadline:
                self.kill()
                raise ServerError(self.name, "does not answer" if status is None else f"ended with {status}", self.log)
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop the process; kill it if it still runs after ``STOP_TIMEOUT``."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """Kill the process and all its children (SIGKILL)."""
        self._end(signal.SIGKILL)

    def family(self) -> list[psutil.Process]:
        """Return the running process, then all its descendants."""
        try:
            process = psutil.Process(self.pid)
            return [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def run(self, command: Sequence[str]) -> Popen[bytes]:
        """Start a process that ends with the server; its output goes to the log."""
        with process_guard.signals_deferred(), self.log.open("ab") as output:
            options = {"stdin": DEVNULL, "stdout": output, "stderr": STDOUT, **self.process_options()}
            process = Popen(command, start_new_session=True, **options)  # noqa: S603
            self._register(process, self.end_signal)
        return process

    def _register(self, process: Popen[bytes], end_signal: int) -> None:
        """Send the guard the signal that ends a process; 0 if it has ended and its number may be reused."""
        self._guard_input.write(b"%d %d\n" % (process.pid, end_signal))
        self._guard_input.flush()

    def _end(self, signum: signal.Signals) -> None:
        process = self._process
        if process is None:
            return
        family = self.family()
        process.send_signal(signum)
        with suppress(TimeoutExpired):
            process.wait(STOP_TIMEOUT)
        family = self.family() or family  # The children may be others by now.
        process.kill()
        for relative in family[1:]:  # After the parent, which would replace them.
            with suppress(psutil.NoSuchProcess):
                relative.kill()
        process_guard.signal_group(process.pid, signal.SIGKILL)  # Children that were started after ``family()``.
        process.wait()
        while not all(process_guard.has_ended(relative.pid) for relative in family):
            time.sleep(0.01)
        self._register(process, 0)
        self._process = None


def package_folder(name: str) -> Path:
    """Return the folder of an installed package without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ServerError(name, "is not installed: pip install -r requirements/dev.txt")
    return Path(spec.submodule_search_locations[0])
