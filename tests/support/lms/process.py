"""A small LMS as a process that runs commands: ``tests.support.living_lms`` or ``tests.support.recording_lms``."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from devservers.application import ROOT


class LmsProcess:
    """A running LMS on the database ``database_url``; ``env`` are further variables."""

    def __init__(
        self, database_url: str, module: str = "tests.support.living_lms", env: Mapping[str, str] | None = None
    ) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": database_url, **(env or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._process.kill()  # It may be living.
        self._process.communicate()

    def kill(self) -> None:
        """Kill it, whatever it does."""
        self._process.kill()
        self._process.wait()

    def send(self, command: str, *arguments: Any) -> None:
        """Begin a command, without waiting for its end."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([command, *arguments]) + "\n")
        self._process.stdin.flush()

    def call(self, command: str, *arguments: Any) -> Any:
        """Run a command and return its result."""
        assert self._process.stdout is not None
        self.send(command, *arguments)
        answer = self._process.stdout.readline()
        assert answer, f"the LMS ended at {command}"
        return json.loads(answer)
