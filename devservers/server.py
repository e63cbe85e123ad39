"""What all private servers have in common: a process on a leash that answers, stops, and starts again."""

import importlib.util
import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

import psutil

from devservers.process_guard import ProcessGuard

START_TIMEOUT = 60.0
"""Seconds until a server that does not answer counts as broken."""
STOP_TIMEOUT = 20.0
"""Seconds that a server gets to stop by itself."""


class ServerError(RuntimeError):
    """A private server does not start; the text ends with its log.

    Args:
        server: its name.
        fault: what is wrong with it.
        log: its output, if it had any.
    """

    def __init__(self, server: str, fault: str, log: Path | None = None) -> None:
        tail = f"; its log ends:\n{log.read_text(errors='replace')[-4000:]}" if log else ""
        super().__init__(f"{server} {fault}{tail}")


class Server(ABC):
    """A process that can be stopped or killed and started again, on the same data and the same address.

    A context manager: entering starts it, leaving ends it and removes its folder.
    """

    name: str
    """What it is called in texts and file names."""
    stop_signal: signal.Signals = signal.SIGTERM
    """Asks the process to finish what it is doing."""
    end_signal: signal.Signals = signal.SIGKILL
    """Ends the process when its data will not be needed again."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._leash = stack.enter_context(ProcessGuard(f"linking-{self.name}", self.place()))
            self._process: subprocess.Popen[bytes] | None = None
            stack.callback(self._end)
            self.prepare()
            self.start()
            self._exit = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    @property
    def folder(self) -> Path:
        """The private folder, gone when the server is."""
        return self._leash.folder

    @property
    def log(self) -> Path:
        """The file with the server's output."""
        return self.folder / f"{self.name}.log"

    @property
    def is_running(self) -> bool:
        """Whether the process is there: started, and not ended since."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process number of the running server."""
        if self._process is None:
            raise ServerError(self.name, "is not running")
        return self._process.pid

    def place(self) -> Path | None:
        """Return where the folder is to be made, if not at the system's place for temporary files."""
        return None

    def prepare(self) -> None:  # noqa: B027 - most servers need nothing
        """Make what the server needs before its first start."""

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Return the program and its arguments."""

    @abstractmethod
    def answers(self) -> bool:
        """Return whether the server is ready for its clients."""

    def process_options(self) -> dict[str, Any]:
        """Return further arguments for :meth:`devservers.process_guard.ProcessGuard.start`."""
        return {}

    def start(self) -> None:
        """Start the process and wait until it answers.

        Raises:
            ServerError: it ended, or does not answer in time.
        """
        if self.is_running:
            raise ServerError(self.name, "is running already")
        self.kill()  # What one that ended by itself has left behind.
        self._process = self._leash.start(self.command(), log=self.log, end=self.end_signal, **self.process_options())
        deadline = time.monotonic() + START_TIMEOUT
        while not self.answers():
            ended = self._process.poll()
            if ended is None and time.monotonic() < deadline:
                time.sleep(0.02)
                continue
            self.kill()
            raise ServerError(self.name, "does not answer" if ended is None else f"ended with {ended}", self.log)

    def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """Ask the process to stop; kill it if it has not after ``timeout`` seconds."""
        self._finish(self.stop_signal, timeout)

    def kill(self) -> None:
        """End the process and all its children on the spot (SIGKILL)."""
        self._finish(signal.SIGKILL, STOP_TIMEOUT)

    def family(self) -> list[psutil.Process]:
        """Return the running process and everything it has started, itself first."""
        try:
            process = psutil.Process(self.pid)
            return [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _end(self) -> None:
        self._finish(self.end_signal, STOP_TIMEOUT)

    def _finish(self, signum: signal.Signals, timeout: float) -> None:
        process = self._process
        if process is None:
            return
        family = self.family()
        process.send_signal(signum)
        if signum != signal.SIGKILL:
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                family = self.family()
                process.kill()
        for relative in family[1:]:  # Only now: a parent that lives would start another.
            with suppress(psutil.NoSuchProcess):
                relative.kill()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # What it started since the family was counted.
        process.wait()
        while not all(map(_has_ended, family)):
            time.sleep(0.01)
        self._leash.release(process)
        self._process = None


def _has_ended(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)  # Ended, and waits for the system to collect it.
    except psutil.NoSuchProcess:
        return True


def package_folder(name: str) -> Path:
    """Return where a package lies, without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ServerError(name, "is not installed: pip install -r requirements/dev.txt")
    return Path(spec.submodule_search_locations[0])
