"""A service with none of our code."""

import os
import subprocess
import sys
from pathlib import Path


class BareService:
    """A module ``service`` in a folder of its own, run by plain Python.

    Args:
        folder: an empty folder.
        source: the text of the module; it finds the broker in ``os.environ["BROKER"]``.
        broker: the broker's URL.
    """

    def __init__(self, folder: Path, source: str, broker: str) -> None:
        self._folder = folder
        self._env = {"BROKER": broker, "PATH": os.environ["PATH"]}
        self._processes: list[subprocess.Popen[str]] = []
        (folder / "service.py").write_text(source)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start ``python ARGUMENTS…`` in the service's folder (``service.py`` by default)."""
        process = subprocess.Popen(
            [sys.executable, *(arguments or ["service.py"])],
            cwd=self._folder,
            env=self._env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._processes.append(process)
        return process

    def run(self, *arguments: str, timeout: float = 60) -> str:
        """Run ``python ARGUMENTS…`` to its end and return what it printed; ``timeout`` in seconds."""
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=timeout)
        assert process.returncode == 0, output
        return output

    def close(self) -> None:
        """Kill the processes that still run."""
        for process in self._processes:
            process.kill()
            process.communicate()
