"""Processes that run the Celery application: worker and beat."""

import os
import sys
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from celery import Celery
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from devservers.server import Server

ROOT = Path(__file__).resolve().parents[1]
"""The repository: processes import ``worker`` and read ``flowerconfig.py`` there."""


class ApplicationProcess(Server):
    """A process that runs the application.

    Args:
        env: environment variables that are added to those of the current process. ``DATABASE_URL`` and
            ``CELERY_BROKER_URL`` must be in one of the two.
    """

    app = "worker"
    """The module of the Celery application."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = {"SECRET_KEY": "only-for-private-servers", "TLS_PROXY": "0", **os.environ, **env}

    def process_options(self) -> dict[str, Any]:
        """Return the environment and the working directory; temporary files are removed with the server's folder."""
        return {"env": {**self.env, "TMPDIR": str(self.folder)}, "cwd": ROOT}

    def celery(self, *arguments: str) -> list[str]:
        """Return the call of a command of Celery."""
        return [sys.executable, "-m", "celery", "-A", self.app, *arguments]


class WorkerProcess(ApplicationProcess):
    """A worker with a prefork pool of ``concurrency`` children and further ``options`` of ``celery worker``."""

    name = "worker"

    def __init__(self, env: Mapping[str, str], *, concurrency: int = 2, options: Sequence[str] = ()) -> None:
        super().__init__(env)
        self.hostname = f"worker-{uuid.uuid4().hex[:8]}@localhost"
        self._options = ("--hostname", self.hostname, "--concurrency", str(concurrency), *options)

    def command(self) -> Sequence[str]:
        """Return the call of ``celery worker``."""
        return self.celery("worker", "--pool", "prefork", "--loglevel", "INFO", *self._options)

    def answers(self) -> bool:
        """Return whether the worker answers a ping through the broker."""
        with suppress(ConnectionError, KombuError, RedisError):
            return bool(self._inspect("ping", timeout=1.0))
        return False  # The broker was restarted and closed the connection.

    def is_idle(self) -> bool:
        """Return whether the worker neither runs a task nor has reserved one."""
        return not any(any(self._inspect(name, timeout=5.0).values()) for name in ("active", "reserved"))

    def pool_children(self) -> list[psutil.Process]:
        """Return the processes that run the tasks."""
        return self.family()[1:]

    def _inspect(self, name: str, timeout: float) -> dict[str, Any]:
        """Return the worker's reply to an inspect command; ``timeout`` in seconds."""
        broker = self.env["CELERY_BROKER_URL"]
        with Celery(set_as_current=False) as client:
            client.conf.update(broker_read_url=broker, broker_write_url=broker)  # Not what our own environment names.
            return getattr(client.control.inspect([self.hostname], timeout=timeout), name)() or {}


class Beat(ApplicationProcess):
    """A beat process."""

    name = "beat"

    def command(self) -> Sequence[str]:
        """Return the call of ``celery beat``."""
        schedule = str(self.folder / "schedule")
        return self.celery("beat", "--pidfile=", "--schedule", schedule, "--loglevel", "INFO")
