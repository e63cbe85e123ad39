"""The stage of a round: private servers, workers and beat, and a supervisor that starts again what died."""

import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

from chaos.injection import ORDERS
from devservers import PostgresServer, RedisServer, Server, WorkerProcess

ROOT = Path(__file__).resolve().parents[1]
WORKERS = 2
PROCESSES = 2
LOOK_EVERY = 0.2
"""Seconds between two looks of the supervisor."""


class Worker(WorkerProcess):
    """A worker whose start nobody waits for: a supervisor does not either."""

    def answers(self) -> bool:
        """Return that it has been started."""
        return True


class Beat(Server):
    """A real ``celery beat``."""

    name = "beat"

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = {**os.environ, **env}

    def command(self) -> Sequence[str]:
        """Return the call of ``celery``."""
        return [
            *(sys.executable, "-m", "celery", "-A", "chaos.injection", "beat", "--pidfile="),
            *("--schedule", str(self.folder / "schedule"), "--loglevel", "INFO"),
        ]

    def process_options(self) -> dict[str, Any]:
        """Return its environment and the folder in which ``worker`` is found."""
        return {"env": {**self._env, "TMPDIR": str(self.folder)}, "cwd": ROOT}

    def answers(self) -> bool:
        """Return that it has been started."""
        return True


class Stage:
    """Everything that a round runs on. A context manager: nothing is left of it afterwards.

    Args:
        postgres: the running database server.
        database_url: the round's own database.
        env: what workers and beat have in their environment beyond the addresses.
    """

    def __init__(self, postgres: PostgresServer, database_url: str, env: Mapping[str, str]) -> None:
        self.postgres = postgres
        self.database_url = database_url
        self.redis = RedisServer()
        self._env = env
        self._guard = threading.RLock()
        self._over = threading.Event()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.redis)
            self.orders = self.redis.folder / "orders"
            self.orders.mkdir()
            env = {
                **self._env,
                "DATABASE_URL": self.database_url,
                "CELERY_BROKER_URL": self.redis.url,
                ORDERS: str(self.orders),
            }
            options = ("-I", "chaos.injection", "--without-mingle")
            self.workers = [Worker(env, concurrency=PROCESSES, options=options) for _ in range(WORKERS)]
            self.beat = Beat(env)
            for server in (*self.workers, self.beat):
                stack.enter_context(server)
            thread = threading.Thread(target=self._supervise, name="supervisor")
            thread.start()
            stack.callback(thread.join)
            stack.callback(self._over.set)
            self._exit = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def _supervise(self) -> None:
        while not self._over.wait(LOOK_EVERY):
            for server in (*self.workers, self.beat):
                with self._guard:
                    if not server.is_running and not self._over.is_set():
                        server.start()

    def signal_group(self, server: Server, signum: signal.Signals) -> bool:
        """Send a signal to a server and all its children; tell whether there was one."""
        with self._guard:
            if not server.is_running:
                return False
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signum)
            return True

    def kill_child(self, worker: Worker, choice: int) -> bool:
        """Kill a pool child of ``worker``; tell whether there was one."""
        with self._guard:
            children = worker.pool_children() if worker.is_running else []
            if not children:
                return False
            with suppress(Exception):
                children[choice % len(children)].kill()
            return True

    def logs(self) -> str:
        """Return the logs of workers and beat."""
        servers = (*self.workers, self.beat)
        return "\n".join(f"--- {server.name}\n{server.log.read_text(errors='replace')}" for server in servers)
