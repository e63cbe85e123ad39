"""A worker far from its database: jobs through a link that delays each way."""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qs, urlsplit

from benchmarks.databases import CURRENT
from benchmarks.interface import Databases
from benchmarks.variants import Worker
from benchmarks.workloads import PROGRAM, Workload, read_mapping
from devservers import WorkerProcess

DELAY = 0.002
"""Seconds that the link takes each way."""
PIECE = 2**16
"""Bytes that the link forwards together, at most."""
RUNS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Distant:
    """Seconds of a job of so many learners, the fastest of RUNS."""

    learners: int
    seconds: float

    @property
    def rate(self) -> float:
        """Learners per second."""
        return self.learners / self.seconds


class SlowLink:
    """A TCP port of this machine that leads to the Unix socket of a PostgreSQL server, with a delay each way.

    Args:
        server_url: URL of the server, whose query names the folder of its socket.
    """

    def __init__(self, server_url: str) -> None:
        (folder,) = parse_qs(urlsplit(server_url).query)["host"]
        self._socket = f"{folder}/.s.PGSQL.5432"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop
        ).result()
        self.port = server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_unix_connection(self._socket)
        with suppress(ConnectionError):  # A restored database ends the sessions of the one before.
            await asyncio.gather(self._forward(reader, to_server), self._forward(from_server, writer))

    async def _forward(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while piece := await source.read(PIECE):
            self._loop.call_later(DELAY, target.write, piece)
        self._loop.call_later(DELAY, target.close)


def measure(databases: Databases, server_url: str, sizes: Sequence[int]) -> Iterator[Distant]:
    """Measure a fresh job of each size; the worker has two processes and reaches the database through a slow link."""
    with SlowLink(server_url) as link:
        url = f"postgresql://postgres@127.0.0.1:{link.port}/{CURRENT}"
        with WorkerProcess({"DATABASE_URL": url}, concurrency=2):
            for size in sizes:
                yield Distant(learners=size, seconds=min(_time(databases, size) for _ in range(RUNS)))


def _time(databases: Databases, size: int) -> float:
    databases.restore(Workload.FRESH)
    with databases.connect() as connection:
        mapping = read_mapping(connection, size)
        Worker().warm_up(connection)
        began = time.perf_counter()
        Worker().run(connection, PROGRAM, mapping)
        return time.perf_counter() - began
