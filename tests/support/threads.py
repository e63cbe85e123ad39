"""Call a function from several threads at the same moment."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

from django.db import connection

T = TypeVar("T")


def at_once(count: int, call: Callable[[int], T]) -> list[T]:
    """Call ``call(n)`` for every n below ``count``, each in a thread with its own connection; return the results."""
    barrier = Barrier(count)

    def run(n: int) -> T:
        try:
            connection.ensure_connection()
            barrier.wait(30)
            return call(n)
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))
