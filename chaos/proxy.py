"""A proxy before the database, which ends connections in the middle of a COMMIT."""

import asyncio
import enum
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Self

CHUNK = 65_536
LONGEST_COMMIT = 64
"""Bytes: a longer message is no COMMIT, though it may contain the word."""


class Cut(enum.Enum):
    """How a connection ends in a COMMIT. The client learns of the end only: the outcome is in doubt."""

    BEFORE = "before the server has the COMMIT"
    AFTER = "after the server has committed"
    AT_ONCE = "while the server commits"
    KILLED = "by the server, whose session is killed"


class Proxy:
    """Forwards the connections on a port of 127.0.0.1. A context manager: leaving it ends them.

    Args:
        target: the socket of the server, or its port on 127.0.0.1.
        session_of: returns the number of the session, from the server's first message; for ``Cut.KILLED``.
        kill_session: ends a session; for ``Cut.KILLED``.
    """

    def __init__(
        self,
        target: Path | int,
        *,
        session_of: Callable[[bytes], int] | None = None,
        kill_session: Callable[[int], None] | None = None,
    ) -> None:
        self.cut: Counter[Cut] = Counter()
        self._target = target
        self._session_of = session_of
        self._kill_session = kill_session
        self._due: deque[Cut] = deque()
        self._connections = set[_Connection]()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        starting = asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result()
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut_commits(self, cuts: Iterable[Cut]) -> None:
        """End the next connections that commit, one for each of ``cuts``."""
        self._due.extend(cuts)

    def cut_all(self) -> None:
        """End all connections."""
        self._loop.call_soon_threadsafe(self._abort)

    def _abort(self) -> None:
        for connection in [*self._connections]:
            connection.abort()

    async def _end(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if isinstance(self._target, Path):
                server = await asyncio.open_unix_connection(self._target)
            else:
                server = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:  # The server is stopped.
            writer.transport.abort()
            return
        connection = _Connection(self, (reader, writer), server)
        self._connections.add(connection)
        try:
            await connection.forward()
        finally:
            self._connections.discard(connection)

    def next_cut(self) -> Cut | None:
        """Return how the connection that commits now ends; None if it does not."""
        if not self._due:
            return None
        cut = self._due.popleft()
        self.cut[cut] += 1
        return cut

    async def kill(self, greeting: bytes) -> None:
        """End a session at its server."""
        if self._session_of is not None and self._kill_session is not None:
            await asyncio.to_thread(self._kill_session, self._session_of(greeting))


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Connection:
    """A connection of a client and its connection to the server."""

    def __init__(self, proxy: Proxy, client: Streams, server: Streams) -> None:
        self._proxy = proxy
        self._client, self._server = client, server
        self._greeting = b""
        self._answer_is_lost = False

    def abort(self) -> None:
        """End at once, without what is on its way."""
        for _, writer in (self._client, self._server):
            writer.transport.abort()

    async def forward(self) -> None:
        """Forward in both directions until one ends."""
        try:
            await asyncio.wait(
                [asyncio.ensure_future(self._requests()), asyncio.ensure_future(self._answers())],
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            for _, writer in (self._client, self._server):
                writer.close()

    async def _requests(self) -> None:
        with suppress(OSError):
            while data := await self._client[0].read(CHUNK):
                is_commit = len(data) < LONGEST_COMMIT and b"commit" in data.lower()
                cut = self._proxy.next_cut() if is_commit else None
                if cut is Cut.BEFORE:
                    return
                self._answer_is_lost = cut is not None
                killing = asyncio.ensure_future(self._proxy.kill(self._greeting)) if cut is Cut.KILLED else None
                self._server[1].write(data)
                await self._server[1].drain()
                if killing is not None:
                    self._answer_is_lost = False  # The server ends the connection, before or after it commits.
                    await killing
                if cut is Cut.AT_ONCE:
                    return

    async def _answers(self) -> None:
        with suppress(OSError):
            while data := await self._server[0].read(CHUNK):
                self._greeting = self._greeting or data
                if self._answer_is_lost:
                    return
                self._client[1].write(data)
                await self._client[1].drain()
