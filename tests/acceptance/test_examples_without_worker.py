"""The programs of the contract page and of the README wait for a worker that is started later."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import UUID

import pytest
from django.db import connection

from devservers import FlowerServer, WebServer, WorkerProcess
from tests.support.api import make_token
from tests.support.pages import README, blocks, programs
from tests.support.rows import enroll, make_user
from tests.support.waiting import wait_until
from worker.models import LinkingJob

PAGE = "contract.md"
PROGRAM = UUID("5c8d9a52-1f0e-4c63-9a67-2b6f0d4e7a11")
RECEIVERS = {"events_consumer.py", "receivers.py"}
"""Programs of the page that receive events and send no request; ``test_events.py`` runs them."""
STOPPED = 10
"""Seconds from the start of the programs to that of the worker."""

Start = Callable[[str, str], subprocess.Popen[str]]


@pytest.fixture
def results(redis_without_worker: str) -> str:
    """The URL of the Redis database that workers for clients with ``get()`` store results in."""
    return redis_without_worker.removesuffix("/0") + "/2"


@pytest.fixture
def start(
    tmp_path: Path,
    flower_without_worker: FlowerServer,
    worker_env: dict[str, str],
    isolated_env: dict[str, str],
    results: str,
) -> Iterator[Start]:
    """Start a program, which finds its servers in the environment and has its callbacks sent to a queue of its own."""
    flower = {"FLOWER": flower_without_worker.url, "FLOWER_BASIC_AUTH": flower_without_worker.basic_auth}
    with ExitStack() as stack:
        web = {"WEB": stack.enter_context(WebServer(worker_env)).url, "TOKEN": make_token()}

        def run(name: str, source: str) -> subprocess.Popen[str]:
            broker = (isolated_env if "RESULTS" in source else worker_env)["CELERY_BROKER_URL"]
            environment = {"PATH": os.environ["PATH"], "BROKER": broker, "RESULTS": results, **flower, **web}
            path = tmp_path / name
            path.write_text(source.replace('"enrollment"', f'"{name}"'))
            command = [sys.executable if name.endswith(".py") else "/bin/bash", str(path)]
            process = subprocess.Popen(
                command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            stack.callback(process.communicate)
            stack.callback(process.kill)
            return process

        yield run


def test_every_program_succeeds_though_its_worker_is_stopped_for_ten_seconds(
    start: Start,
    flower_without_worker: FlowerServer,
    start_worker: Callable[..., WorkerProcess],
    isolated_env: dict[str, str],
    results: str,
) -> None:
    make_user("ada")
    enroll("student-0001", program_uuid=PROGRAM)
    enroll("student-0002", program_uuid=PROGRAM)
    (readme,) = blocks(README, "python")
    (curl,) = (block for block in blocks(README, "sh") if "async-apply" in block)
    callers = {name: source for name, source in programs(PAGE).items() if name not in RECEIVERS}
    sources = callers | {
        "readme.py": readme.replace('"redis://localhost:6379/0"', "__import__('os').environ['BROKER']"),
        "readme.sh": curl[curl.index("curl") :].replace("localhost:5555", flower_without_worker.url),
    }
    assert {"send.py", "enqueue.py", "get.py", "flower.sh", "api.sh", "api_client.py"} <= set(sources)

    started = {name: start(name, source) for name, source in sources.items()}
    time.sleep(STOPPED)
    assert set(LinkingJob.objects.values_list("idempotency_key", flat=True)) == {"spring-2026/4", "spring-2026/5"}
    start_worker()
    start_worker(isolated_env | {"CELERY_RESULT_BACKEND": results}, concurrency=1)

    printed = {name: process.communicate(timeout=60)[0] for name, process in started.items()}
    assert {name: process.returncode for name, process in started.items()} == dict.fromkeys(started, 0), printed
    wait_until(lambda: LinkingJob.objects.filter(state="done").count() == len(started), "each program's job is done")
    assert json.loads(printed["enqueue.py"])["student-0002"] == "No user found with username grace"
    missing = "No user found with username grace"
    by_key = {error["external_user_key"]: error["message"] for error in json.loads(printed["api.sh"])["errors"]}
    assert by_key["student-0002"] == missing
    assert json.loads(printed["api_client.py"])["errors"]["student-0002"] == missing
    (statement,) = blocks(PAGE, "sql")
    with connection.cursor() as cursor:
        cursor.execute(statement.replace(":task_id", "%s"), [printed["send.py"].strip()])
        assert cursor.fetchone()[0] == "SUCCESS"
