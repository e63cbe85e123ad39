"""Processes that run the application: worker, beat, the web server and Flower."""

import os
import secrets
import sys
import urllib.request
import uuid
from base64 import b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from celery import Celery
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from devservers.broker import free_port
from devservers.server import Server

ROOT = Path(__file__).resolve().parents[1]
"""The repository: processes import ``worker`` and read ``flowerconfig.py`` there."""


class ApplicationProcess(Server):
    """A process whose environment is that of the current one and ``env``.

    ``DATABASE_URL`` and ``CELERY_BROKER_URL`` must be in one of the two.
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
        return self.celery("worker", "--pool", "prefork", "--loglevel", "INFO", *self._options)

    def answers(self) -> bool:
        with suppress(OSError, KombuError, RedisError):
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
        queue = self.env.get("LINKING_QUEUE", "linking")
        with Celery(set_as_current=False) as client:
            # Not the broker that our own environment names.
            client.conf.update(broker_read_url=broker, broker_write_url=broker, control_exchange=queue)
            return getattr(client.control.inspect([self.hostname], timeout=timeout), name)() or {}


class Beat(ApplicationProcess):
    """A beat process."""

    name = "beat"

    def command(self) -> Sequence[str]:
        schedule = str(self.folder / "schedule")
        return self.celery("beat", "--pidfile=", "--schedule", schedule, "--loglevel", "INFO")


class HttpServer(ApplicationProcess):
    """An HTTP server on a port of 127.0.0.1, by default a free one."""

    health_path: str
    """The path that returns status 200 when the server is ready."""

    def __init__(self, env: Mapping[str, str], *, port: int | None = None) -> None:
        super().__init__(env)
        self._port = port or free_port()
        self._headers: dict[str, str] = {}
        self._client = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # Never through a proxy.

    @property
    def url(self) -> str:
        """The URL without a path."""
        return f"http://127.0.0.1:{self._port}"

    def get(self, path: str, data: bytes | None = None) -> bytes:
        """Return the content at ``path``; with ``data``, send it in a POST request.

        Raises:
            urllib.error.HTTPError: the server returned an error status.
        """
        request = urllib.request.Request(self.url + path, data, self._headers)  # noqa: S310 - our own address
        with self._client.open(request, timeout=30) as response:
            return bytes(response.read())

    def answers(self) -> bool:
        with suppress(OSError):
            self.get(self.health_path)
            return True
        return False


class WebServer(HttpServer):
    """The web server of the admin, the health checks and the metrics: gunicorn with threads."""

    name = "web"
    health_path = "/healthz"

    def command(self) -> Sequence[str]:
        options = ("--bind", f"127.0.0.1:{self._port}", "--workers", "1", "--threads", "4", "--no-control-socket")
        return [sys.executable, "-m", "gunicorn", "worker.web.wsgi", *options]


class FlowerServer(HttpServer):
    """A Flower with a password of its own, unless the environment sets ``FLOWER_BASIC_AUTH``."""

    name = "flower"
    health_path = "/healthcheck"

    def __init__(self, env: Mapping[str, str], *, port: int | None = None) -> None:
        super().__init__(env, port=port)
        self.basic_auth = self.env.setdefault("FLOWER_BASIC_AUTH", f"linking:{secrets.token_urlsafe(12)}")
        self._headers = {"Authorization": f"Basic {b64encode(self.basic_auth.encode()).decode()}"}

    def command(self) -> Sequence[str]:
        return self.celery("flower", f"--port={self._port}")
