"""The pages' server and beat, each a real process of its own."""

import http.client
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from devservers.broker import free_port
from devservers.server import Server
from devservers.worker import ROOT


class WebServer(Server):
    """A real web server on a port of 127.0.0.1: gunicorn with threads.

    Args:
        env: what its environment has beyond ours; ``DATABASE_URL`` and ``CELERY_BROKER_URL`` must be in either.
        port: where it listens; a free port by default.
    """

    name = "web"

    def __init__(self, env: Mapping[str, str], *, port: int | None = None) -> None:
        self._port = port or free_port()
        self._env = {"SECRET_KEY": "only-for-private-servers", "TLS_PROXY": "0", **os.environ, **env}

    @property
    def url(self) -> str:
        """The address of its first page."""
        return f"http://127.0.0.1:{self._port}/admin/"

    def command(self) -> Sequence[str]:
        """Return the call of ``gunicorn``."""
        return [
            *(sys.executable, "-m", "gunicorn", "worker.web.wsgi", "--bind", f"127.0.0.1:{self._port}"),
            *("--workers", "1", "--threads", "4", "--no-control-socket"),
        ]

    def process_options(self) -> dict[str, Any]:
        """Return its environment, and the folder in which ``worker`` is found."""
        return {"env": {**self._env, "TMPDIR": str(self.folder)}, "cwd": ROOT}

    def answers(self) -> bool:
        """Return whether it answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == http.HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()


class Beat(Server):
    """A real ``celery beat``.

    Args:
        env: as of :class:`WebServer`.
    """

    name = "beat"

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = {"SECRET_KEY": "only-for-private-servers", **os.environ, **env}

    def command(self) -> Sequence[str]:
        """Return the call of ``celery``."""
        schedule = str(self.folder / "schedule")
        return [sys.executable, "-m", "celery", "-A", "worker", "beat", "--pidfile=", "--schedule", schedule]

    def process_options(self) -> dict[str, Any]:
        """Return its environment, and the folder in which ``worker`` is found."""
        return {"env": self._env, "cwd": ROOT}

    def answers(self) -> bool:
        """Return whether it is there: nobody asks it anything."""
        return self.is_running
