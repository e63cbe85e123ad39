"""The interface of a broker: everything that differs between brokers in chaos."""

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from devservers import Server

RECOVERY = "linking.resume_stalled_jobs"
TASKS = ("linking", "linking.bulk", "linking.recovery", "linking.events")
"""The workers' queues; requests are sent to the first."""


class Broker(ABC):
    """A private broker. Its server is started and ended by the environment of the round."""

    server: Server
    port: int
    keeps_messages: bool
    """Whether messages are still there when the server was killed and started again."""
    env: Mapping[str, str] = {}
    """Environment variables of workers and beat."""
    client_settings: Mapping[str, Any] = {}
    """Celery's settings of a caller."""

    @abstractmethod
    def url(self, port: int | None = None) -> str:
        """Return the ``CELERY_BROKER_URL``, on request through a proxy on a port of 127.0.0.1."""

    @abstractmethod
    def route(self, queue: str) -> dict[str, Any]:
        """Return the options with which a caller sends a task to one of the workers' queues."""

    @abstractmethod
    def wait_for_workers(self) -> None:
        """Wait until workers have declared what callers need."""

    @abstractmethod
    def empty(self) -> None:
        """Remove all messages of the server, which is stopped."""

    @abstractmethod
    def pause(self, seconds: float) -> None:
        """Freeze the server for some seconds."""

    @abstractmethod
    def deliver_twice(self, choice: random.Random) -> bool:
        """Add a copy of a message of the workers; return false if there is none."""

    @abstractmethod
    def leftovers(self) -> dict[str, int]:
        """Return the number of the workers' messages by queue or key, without those that are empty."""
