"""Redis servers in special roles: a replica, a Sentinel, a node of a cluster."""

import socket
from collections.abc import Sequence
from pathlib import Path

from devservers import RedisServer

MASTER = "mymaster"
"""The name under which Sentinels monitor a master."""


class Replica(RedisServer):
    """A replica of another server."""

    name = "replica"

    def __init__(self, master: RedisServer) -> None:
        super().__init__()
        self._master = master

    def command(self) -> Sequence[str]:
        return [*super().command(), "--replicaof", "127.0.0.1", str(self._master.port)]


class Sentinel(RedisServer):
    """A Sentinel that needs no other one to promote a replica, a second after the master is lost."""

    name = "sentinel"

    def __init__(self, master: RedisServer, password: str) -> None:
        super().__init__()
        self._master = master
        self._password = password

    def prepare(self) -> None:
        lines = (
            f"port {self.port}",
            "bind 127.0.0.1",
            f"dir {self.folder}",
            f"requirepass {self._password}",
            f"sentinel monitor {MASTER} 127.0.0.1 {self._master.port} 1",
            f"sentinel down-after-milliseconds {MASTER} 1000",
            f"sentinel failover-timeout {MASTER} 10000",
        )
        self._config.write_text("\n".join(lines))

    @property
    def _config(self) -> Path:
        return self.folder / "sentinel.conf"

    def command(self) -> Sequence[str]:
        program, *_ = super().command()
        return [program, str(self._config), "--sentinel"]

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"-NOAUTH")
        except OSError:
            return False

    @property
    def url(self) -> str:
        return f"sentinel://127.0.0.1:{self.port}/0"


class ClusterNode(RedisServer):
    """The only node of a Redis Cluster."""

    name = "cluster-node"

    def command(self) -> Sequence[str]:
        return [*super().command(), "--cluster-enabled", "yes"]
