"""A real worker in a process of its own."""

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


class WorkerProcess(Server):
    """A real worker: ``celery -A worker worker`` with a prefork pool.

    Args:
        env: what its environment has beyond ours; ``DATABASE_URL`` and ``CELERY_BROKER_URL`` must be in either.
        concurrency: pool children.
        options: further options of ``celery worker``.
    """

    name = "worker"

    def __init__(self, env: Mapping[str, str], *, concurrency: int = 2, options: Sequence[str] = ()) -> None:
        self._env = {"SECRET_KEY": "only-for-private-servers", **os.environ, **env}
        self._concurrency = concurrency
        self._options = options
        self.hostname = f"embedded-{uuid.uuid4().hex[:8]}@localhost"

    def command(self) -> Sequence[str]:
        """Return the call of ``celery``."""
        return [
            *(sys.executable, "-m", "celery", "-A", "worker", "worker", "--hostname", self.hostname),
            *("--pool", "prefork", "--concurrency", str(self._concurrency), "--loglevel", "INFO", *self._options),
        ]

    def process_options(self) -> dict[str, Any]:
        """Return its environment, and the folder in which ``worker`` is found.

        A worker that is killed leaves temporary files: its folder is the place for them.
        """
        return {"env": {**self._env, "TMPDIR": str(self.folder)}, "cwd": ROOT}

    def answers(self) -> bool:
        """Return whether the worker answers a ping through the broker."""
        with self._client() as client, suppress(ConnectionError, KombuError, RedisError):
            return bool(client.control.ping(destination=[self.hostname], timeout=1.0))
        return False  # The broker was restarted, and the connection is one of before.

    def is_idle(self) -> bool:
        """Return whether no task runs in the worker or waits in it."""
        with self._client() as client:
            inspect = client.control.inspect(destination=[self.hostname], timeout=5.0)
            return not any(tasks for told in (inspect.active(), inspect.reserved()) for tasks in (told or {}).values())

    def _client(self) -> Celery:
        """Return a Celery client of the worker's broker, whatever broker our own environment names."""
        client = Celery(set_as_current=False)
        broker = self._env["CELERY_BROKER_URL"]
        client.conf.update(broker_read_url=broker, broker_write_url=broker)
        return client

    def pool_children(self) -> list[psutil.Process]:
        """Return the processes that run the tasks."""
        return self.family()[1:]
