"""A service on quorum queues."""

from typing import Any

from tests.smoke.test_workers import Caller


class QuorumCaller(Caller):
    """A service that sends to an exchange: it cannot declare our queues."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._app.conf.task_default_queue = "service"  # Celery declares it at each message.

    def close(self) -> None:
        """Disconnect; its queues are deleted with the others."""
        self._app.close()

    def send(self, task: str, *args: Any, **options: Any) -> str:
        return super().send(task, *args, **{"exchange": "linking", "routing_key": "linking"} | options)
