"""A worker can be stopped, killed and started again, and leaves no process behind."""

from collections.abc import Callable

import psutil

from devservers import WorkerProcess


def test_a_worker_has_two_pool_children_and_is_idle_at_first(celery_worker_process: WorkerProcess) -> None:
    assert len(celery_worker_process.pool_children()) == 2
    assert celery_worker_process.is_idle()


def test_killing_a_worker_kills_its_pool_and_it_can_start_again(start_worker: Callable[..., WorkerProcess]) -> None:
    worker = start_worker(concurrency=1)
    family = worker.family()
    assert len(family) == 2

    worker.kill()

    assert not worker.is_running
    assert [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE] == []
    worker.start()
    assert worker.answers()


def test_a_stopped_worker_shuts_down_warmly(start_worker: Callable[..., WorkerProcess]) -> None:
    worker = start_worker(concurrency=1)
    worker.stop()
    assert "Warm shutdown" in worker.log.read_text()
    assert not worker.is_running
