"""Another Celery application in the same Redis database, on Celery's default queue: neither disturbs the other."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.injection import VISIBILITY_TIMEOUT
from devservers import WorkerProcess
from tests.support.bare_service import BareService
from tests.support.broker import OLD
from tests.support.ids import PROGRAM
from tests.support.populations import add_learners
from tests.support.service import LINK, Service, result_of
from tests.support.waiting import wait_until
from worker.models import LinkingJob

SECONDS = float(os.environ.get("NEIGHBOUR_SECONDS", "6"))
"""Seconds that a task of the neighbour takes; 300 for the real case."""
TIMEOUT = 2
"""Visibility timeout of our worker in seconds."""
QUICK = 20
SOURCE = """
import os, sys, time
from celery import Celery

app = Celery("service", broker=os.environ["BROKER"])
app.conf.update(worker_hijack_root_logger=False, task_acks_late=True)


@app.task(name="service.note")
def note(text, seconds):
    with open("calls", "a") as file:
        print(text, file=file, flush=True)
    time.sleep(seconds)
    with open("calls", "a") as file:
        print(text, "ended", file=file, flush=True)


if __name__ == "__main__":
    slow, quick = float(sys.argv[1]), int(sys.argv[2])
    note.delay("slow", slow)
    for number in range(quick):
        note.delay(f"quick {number}", 0)
"""
StartWorker = Callable[..., WorkerProcess]


def calls(neighbour: BareService) -> list[str]:
    path = neighbour.folder / "calls"
    return path.read_text().splitlines() if path.exists() else []


def start_neighbour(neighbour: BareService, broker: str, *options: str) -> None:
    """Start a worker with two children."""
    neighbour.env["BROKER"] = broker
    neighbour.write(SOURCE)
    neighbour.start("-m", "celery", "-A", "service", "worker", "--concurrency", "2", *options)


@pytest.mark.timeout(SECONDS + 300)
def test_each_task_of_a_neighbour_is_run_once_and_by_the_neighbour(
    start_worker: StartWorker, isolated_env: dict[str, str], isolated_service: Service, bare_service: BareService
) -> None:
    broker = isolated_env["CELERY_BROKER_URL"]
    start_neighbour(bare_service, broker)
    bare_service.run("service.py", str(SECONDS), "0")
    wait_until(lambda: "slow" in calls(bare_service), "the neighbour runs its task")

    ours = start_worker(isolated_env | {VISIBILITY_TIMEOUT: str(TIMEOUT)}, options=("-I", "chaos.injection"))
    bare_service.run("service.py", "0", str(QUICK))  # Both applications consume their queue now.
    linked = isolated_service.link(add_learners(3))

    wait_until(lambda: calls(bare_service).count("slow ended") == 2, "its long task ends", timeout=SECONDS + 60)
    wait_until(lambda: sum(line.endswith("ended") for line in calls(bare_service)) == QUICK + 2, "its tasks end")
    assert result_of(linked) == {}
    assert sorted(line for line in calls(bare_service) if line.startswith("quick") and "ended" not in line) == sorted(
        f"quick {number}" for number in range(QUICK)
    )
    assert calls(bare_service).count("slow") == 2  # One of each call of the program.
    assert ours.is_running


def test_callers_on_the_old_queue_are_served_until_a_neighbour_uses_it(
    start_worker: StartWorker, isolated_env: dict[str, str], isolated_service: Service, bare_service: BareService
) -> None:
    ours = start_worker(isolated_env)
    mapping = add_learners(3)
    old = isolated_service.send(LINK, str(PROGRAM), mapping, queue=OLD)
    assert result_of(old) == {}

    bare_service.env["BROKER"] = isolated_env["CELERY_BROKER_URL"]
    bare_service.write(SOURCE)
    bare_service.run("service.py", "0", "3")
    wait_until(lambda: "the queue celery has tasks of another application" in Path(ours.log).read_text(), "it says so")
    wait_until(lambda: len(isolated_service.broker.queued(OLD)) == 4, "the tasks are returned")
    assert result_of(isolated_service.link(mapping))
    assert LinkingJob.objects.count() == 2


def test_commands_of_a_neighbour_do_not_reach_our_workers(
    start_worker: StartWorker, isolated_env: dict[str, str], isolated_service: Service, bare_service: BareService
) -> None:
    ours = start_worker(isolated_env)
    start_neighbour(bare_service, isolated_env["CELERY_BROKER_URL"], "--hostname", "neighbour@localhost")
    ping, shutdown = (
        f"from service import app; print(app.control.{command})" for command in ("ping(timeout=1)", "shutdown()")
    )
    replies: list[str] = []

    def replied() -> bool:
        replies[:] = [bare_service.run("-c", ping)]
        return "neighbour@localhost" in replies[0]

    wait_until(replied, "the neighbour's worker replies")
    assert ours.hostname not in replies[0]
    bare_service.run("-c", shutdown)

    assert result_of(isolated_service.link(add_learners(1))) == {}
    assert ours.is_running
