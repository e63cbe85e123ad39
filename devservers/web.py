"""The servers with web pages: the admin's and Flower's."""

import secrets
import sys
import urllib.request
from base64 import b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress

from devservers.application import ApplicationProcess
from devservers.broker import free_port


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
        """Return whether the health check passes."""
        with suppress(OSError):
            self.get(self.health_path)
            return True
        return False


class WebServer(HttpServer):
    """The web server of the admin, the health checks and the metrics: gunicorn with threads."""

    name = "web"
    health_path = "/healthz"

    def command(self) -> Sequence[str]:
        """Return the call of ``gunicorn``."""
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
        """Return the call of ``celery flower``."""
        return self.celery("flower", f"--port={self._port}")
