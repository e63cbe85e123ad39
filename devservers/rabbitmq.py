"""A private RabbitMQ 4, which Docker runs."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence

from devservers.broker import free_port
from devservers.server import Server

IMAGE = "rabbitmq:4"
HANDSHAKE = b"AMQP\x00\x00\x09\x01"
"""The first bytes of a client; the server's reply begins with a byte 1."""


class RabbitMQServer(Server):
    """A RabbitMQ on a port of 127.0.0.1; it keeps its messages when it is killed and started again."""

    name = "rabbitmq"
    # For the program docker, which passes it on: SIGKILL would end docker and leave the container.
    end_signal = signal.SIGTERM

    def __init__(self) -> None:
        self.port = free_port()
        self._starts = 0

    @property
    def url(self) -> str:
        """The ``CELERY_BROKER_URL``."""
        return self.url_at(self.port)

    @staticmethod
    def url_at(port: int) -> str:
        """Return the ``CELERY_BROKER_URL`` on another port, of a proxy for example."""
        return f"amqp://guest:guest@127.0.0.1:{port}//"

    def prepare(self) -> None:
        """Create the data directory."""
        self._data = self.folder / "data"
        self._data.mkdir()

    def command(self) -> Sequence[str]:
        """Return the call of Docker; the server runs in a new container each time."""
        self._starts += 1  # Docker removes a container that has ended a moment later.
        return [
            *("docker", "run", "--rm", "--name", self._container, "--hostname", "private"),
            *("--user", f"{os.getuid()}:{os.getgid()}", "--volume", f"{self._data}:/var/lib/rabbitmq"),
            *("--publish", f"127.0.0.1:{self.port}:5672", IMAGE),
        ]

    def answers(self) -> bool:
        """Return whether it begins the handshake."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(HANDSHAKE)
                return connection.recv(1) == b"\x01"
        except OSError:
            return False

    def erase(self) -> None:
        """Remove all messages and queues of the stopped server."""
        shutil.rmtree(self._data)
        self._data.mkdir()

    def pause(self) -> None:
        """Freeze the server."""
        self._docker("pause", self._container)

    def unpause(self) -> None:
        """Let the server continue."""
        self._docker("unpause", self._container)

    def control(self, *arguments: str) -> str:
        """Run ``rabbitmqctl ARGUMENTS…``; return its output, or nothing if it fails."""
        return self._docker("exec", self._container, "rabbitmqctl", "--quiet", *arguments)

    @property
    def _container(self) -> str:
        return f"{self.folder.name}-{self._starts}"

    def _end(self, signum: signal.Signals) -> None:
        if self.is_running:
            self._docker("kill", self._container)
        super()._end(signum)

    @staticmethod
    def _docker(*arguments: str) -> str:
        done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607
        return done.stdout if done.returncode == 0 else ""
