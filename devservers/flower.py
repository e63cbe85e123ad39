"""A real Flower."""

import os
import secrets
import sys
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from devservers.broker import free_port
from devservers.server import Server
from devservers.worker import ROOT


class FlowerServer(Server):
    """A real Flower, ``celery -A worker flower``, on a port of 127.0.0.1 behind a password of its own.

    Args:
        env: what its environment has beyond ours; ``DATABASE_URL`` and ``CELERY_BROKER_URL`` must be in either.
        port: a free one by default.
    """

    name = "flower"

    def __init__(self, env: Mapping[str, str], port: int | None = None) -> None:
        self.basic_auth = f"linking:{secrets.token_urlsafe(12)}"
        mine = {"SECRET_KEY": "only-for-private-servers", "FLOWER_BASIC_AUTH": self.basic_auth}
        self._env = {**mine, **os.environ, **env}
        self.basic_auth = self._env["FLOWER_BASIC_AUTH"]
        self._port = port or free_port()

    @property
    def url(self) -> str:
        """Where it answers; ``basic_auth`` is the user and password."""
        return f"http://127.0.0.1:{self._port}"

    def command(self) -> Sequence[str]:
        """Return the call of ``celery``."""
        return [sys.executable, "-m", "celery", "-A", "worker", "flower", f"--port={self._port}"]

    def process_options(self) -> dict[str, Any]:
        """Return its environment, and the folder in which ``worker`` and ``flowerconfig.py`` are found."""
        return {"env": {**self._env, "TMPDIR": str(self.folder)}, "cwd": ROOT}

    def answers(self) -> bool:
        """Return whether it answers."""
        try:
            return self.get("/healthcheck") == b"OK"
        except (OSError, urllib.error.URLError):
            return False

    def get(self, path: str, data: bytes | None = None) -> bytes:
        """Return what it serves at ``path``; with ``data``, post it there.

        Raises:
            urllib.error.HTTPError: it refuses.
        """
        request = urllib.request.Request(self.url + path, data)  # noqa: S310 - our own address
        request.add_header("Authorization", f"Basic {b64encode(self.basic_auth.encode()).decode()}")
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return bytes(answer.read())
