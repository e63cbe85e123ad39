"""Run programs of the repository in processes of their own."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

Command = Callable[..., subprocess.CompletedProcess[str]]
"""The type of a fixture that runs a program with arguments."""


def run(
    *command: str | Path, env: Mapping[str, str] | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a program in the repository to its end; ``env`` is its whole environment, ``timeout`` in seconds."""
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=timeout, check=False)


def python(
    *arguments: str | Path, env: Mapping[str, str] | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run ``python ARGUMENTS…``."""
    return run(sys.executable, *arguments, env=env, timeout=timeout)


def manage(*arguments: str | Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run ``manage.py ARGUMENTS…`` with ``env`` added to the environment."""
    return python("manage.py", *arguments, env={**os.environ, **env}, timeout=120)


def without_servers() -> dict[str, str]:
    """Return the environment without the addresses of servers: the program starts its own."""
    return {name: value for name, value in os.environ.items() if not name.endswith("_URL")}


@contextmanager
def started(module: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    """Start ``python -m MODULE`` with servers of its own and in a session of its own; kill it at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", module],
        cwd=ROOT,
        env=without_servers() | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
