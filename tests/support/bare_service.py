"""A service without our code."""

import os
import subprocess
import sys
from pathlib import Path


class BareService:
    """A folder with a module ``service``, run by plain Python; the module finds the broker in ``BROKER``.

    ``env`` is its whole environment.
    """

    def __init__(self, folder: Path, broker: str) -> None:
        self.folder = folder
        self.env = {"BROKER": broker, "PATH": os.environ["PATH"]}
        self._processes: list[subprocess.Popen[str]] = []

    def write(self, source: str) -> None:
        """Write the module."""
        (self.folder / "service.py").write_text(source)

    @property
    def log(self) -> Path:
        """The output of its processes: a file, since a pipe that nobody reads would stop them when it is full."""
        return self.folder / "output.log"

    def start(self, *arguments: str, output: int | None = None) -> subprocess.Popen[str]:
        """Start ``python ARGUMENTS…`` in the service's folder (``service.py`` by default); log its output."""
        with self.log.open("a") as log:
            process = subprocess.Popen(
                [sys.executable, *(arguments or ["service.py"])],
                cwd=self.folder,
                env=self.env,
                stdout=log if output is None else output,
                stderr=subprocess.STDOUT,
                text=True,
            )
        self._processes.append(process)
        return process

    def run(self, *arguments: str, timeout: float = 60) -> str:
        """Run ``python ARGUMENTS…`` to its end and return its output; ``timeout`` in seconds."""
        process = self.start(*arguments, output=subprocess.PIPE)
        output, _ = process.communicate(timeout=timeout)
        assert process.returncode == 0, output
        return output

    def close(self) -> None:
        """Kill the processes that still run."""
        for process in self._processes:
            process.kill()
            process.communicate()
