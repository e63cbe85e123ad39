"""The file whose age shows a health check that worker and beat run."""

import time
from collections.abc import Callable
from pathlib import Path

from chaos.environment import Beat
from devservers import RedisServer, WorkerProcess
from tests.support.waiting import wait_until


def age(file: Path) -> float:
    """Return the seconds since the file was touched; 1e9 if there is no file."""
    return time.time() - file.stat().st_mtime if file.exists() else 1e9


def test_a_worker_with_a_broker_touches_it(start_worker: Callable[..., WorkerProcess], tmp_path: Path) -> None:
    file = tmp_path / "heartbeat"
    with RedisServer() as broker:
        start_worker({"CELERY_BROKER_URL": broker.url, "LINKING_HEARTBEAT": str(file)}, concurrency=1)
        wait_until(lambda: age(file) < 1, "the worker touches the file")

        broker.stop()
        wait_until(lambda: age(file) > 5, "without a broker, it does not")  # It would be touched every two seconds.

        broker.start()
        wait_until(lambda: age(file) < 1, "with its broker, it does again")


def test_beat_touches_it_whenever_it_has_sent_a_task(worker_env: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "heartbeat"
    with Beat(worker_env | {"LINKING_HEARTBEAT": str(file), "CHAOS_RECOVERY_INTERVAL": "1"}):
        wait_until(lambda: age(file) < 1, "beat touches the file")
        file.unlink()
        wait_until(file.exists, "it does so again")
