"""The environment of a round: private servers, workers and beat, and a supervisor that restarts ended processes."""

import os
import signal
import threading
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import Self

import devservers
from chaos.brokers.interface import Broker
from chaos.databases.interface import Database
from chaos.injection import EVENTS, FAULTS
from chaos.proxy import Proxy
from devservers import Server, WorkerProcess

WORKERS = 2
PROCESSES = 2
SUPERVISION_INTERVAL = 0.2
"""Seconds between two checks of the supervisor."""


class Worker(WorkerProcess):
    """A worker that is not waited for at its start, as under a supervisor."""

    def answers(self) -> bool:
        """Return true: do not wait."""
        return True


class Beat(devservers.Beat):
    """A beat with the intervals of :mod:`chaos.injection`."""

    app = "chaos.injection"


class Environment:
    """All processes of a round. A context manager: leaving it ends them.

    Args:
        database: the running database server.
        broker: the broker of the round. Workers and beat reach it through a proxy.
        name: the database of the round, reached so as well.
        env: environment variables of workers and beat, apart from the addresses.
    """

    def __init__(self, database: Database, broker: Broker, name: str, env: Mapping[str, str]) -> None:
        self.database = database
        self.name = name
        self.broker = broker
        self.broker_proxy = Proxy(broker.port)
        self.proxy = Proxy(database.target, session_of=database.session_of, kill_session=database.kill_session)
        self._env = env
        self._lock = threading.RLock()
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.broker.server)
            stack.enter_context(self.broker_proxy)
            stack.enter_context(self.proxy)
            self.faults = self.broker.server.folder / "faults"
            self.faults.mkdir()
            self.events = self.broker.server.folder / "events"
            env = {
                **self._env,
                **self.broker.env,
                "DATABASE_URL": self.database.url(self.name, self.proxy.port),
                "CELERY_BROKER_URL": self.broker.url(self.broker_proxy.port),
                FAULTS: str(self.faults),
                "LINKING_EVENT_RECEIVERS": "chaos.events.write_event",
                EVENTS: str(self.events),
            }
            options = ("-I", "chaos.injection,chaos.events", "--without-mingle")
            self.workers = [Worker(env, concurrency=PROCESSES, options=options) for _ in range(WORKERS)]
            self.beat = Beat(env)
            for server in (*self.workers, self.beat):
                stack.enter_context(server)
            thread = threading.Thread(target=self._supervise, name="supervisor")
            thread.start()
            stack.callback(thread.join)
            stack.callback(self._closed.set)
            self.broker.wait_for_workers()
            self._exit = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def _supervise(self) -> None:
        while not self._closed.wait(SUPERVISION_INTERVAL):
            for server in (*self.workers, self.beat):
                with self._lock:
                    if not server.is_running and not self._closed.is_set():
                        server.start()

    def signal_group(self, server: Server, signum: signal.Signals) -> bool:
        """Send a signal to a server and its children; return false if it does not run."""
        with self._lock:
            if not server.is_running:
                return False
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signum)
            return True

    def kill_child(self, worker: Worker, choice: int) -> bool:
        """Kill a pool child of ``worker``; return false if it has none."""
        with self._lock:
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
