"""The time and peak memory of a job that is submitted as a stream: our processes and Redis, at two sizes."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import psutil
import redis

from benchmarks.interface import Connection, Databases
from benchmarks.variants import BenchmarkError
from benchmarks.workloads import Workload
from devservers import RedisServer, WorkerProcess
from linking.bulk import stored

SAMPLE_SECONDS = 0.25
"""Seconds between two readings of the processes' peak memory."""
KIB_PER_MIB = 1024
MIB = 2**20
FINAL = ("done", "cancelled", "refused", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """The measurement of one streamed job.

    Attributes:
        learners: number of learners.
        seconds: time from the first learner read to the job's end.
        processes: peak resident size in MiB, by process.
        redis: peak memory of Redis above its idle memory, in MiB.
    """

    learners: int
    seconds: float
    processes: dict[str, float]
    redis: float


def measure(databases: Databases, sizes: Sequence[int]) -> list[Streamed]:
    """Run a streamed job of each size, each on new servers."""
    databases.drop_templates()
    databases.make_templates(max(sizes), (Workload.FRESH,))
    return [_measure_one(databases, size, max(sizes)) for size in sizes]


def _measure_one(databases: Databases, size: int, total: int) -> Streamed:
    databases.restore(Workload.FRESH)
    with (
        RedisServer() as broker,
        WorkerProcess({"CELERY_BROKER_URL": broker.url}, concurrency=2) as worker,
        databases.connect() as connection,
    ):
        client = redis.Redis.from_url(broker.url)
        idle = _memory_of(client)["used_memory"]
        job_id = uuid4()
        began = time.perf_counter()
        submitter = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "benchmarks.stream", str(job_id), str(size), str(total)],
            env={**os.environ, "CELERY_BROKER_URL": broker.url},
        )
        with _sampled(worker, psutil.Process(submitter.pid)) as peaks:
            _wait(connection, job_id, submitter)
            seconds = time.perf_counter() - began
        return Streamed(
            learners=size,
            seconds=seconds,
            processes=dict(peaks),
            redis=(_memory_of(client)["used_memory_peak"] - idle) / MIB,
        )


def _memory_of(client: redis.Redis) -> dict[str, int]:
    found: dict[str, int] = client.info("memory")
    return found


def _wait(connection: Connection, job_id: UUID, submitter: subprocess.Popen[bytes]) -> None:
    while True:
        row = connection.execute("SELECT state FROM worker_linkingjob WHERE id = %s", [stored(job_id)]).fetchone()
        if row is not None and row[0] in FINAL:
            if row[0] != "done":
                msg = f"the streamed job {job_id} is {row[0]}"
                raise BenchmarkError(msg)
            return
        if submitter.poll():
            msg = f"the stream ended with {submitter.returncode}"
            raise BenchmarkError(msg)
        time.sleep(0.05)


@contextmanager
def _sampled(worker: WorkerProcess, submitter: psutil.Process) -> Iterator[dict[str, float]]:
    """Measure in the background; yield the peak resident size in MiB of each kind of process."""
    peaks: dict[str, float] = {}
    over = threading.Event()

    def sample() -> None:
        while not over.wait(SAMPLE_SECONDS):
            main, *children = worker.family() or (None,)
            named = [("worker", main), ("submitter", submitter), *(("pool child", child) for child in children)]
            for name, process in named:
                if process is not None and (size := _peak_size(process.pid)):
                    peaks[name] = max(peaks.get(name, 0.0), size)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield peaks
    finally:
        over.set()
        thread.join()


def _peak_size(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / KIB_PER_MIB for line in lines if line.startswith("VmHWM:")), 0.0)
