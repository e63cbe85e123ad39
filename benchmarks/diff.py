"""Imports in diff mode: the first file, a file with ten other rows, and the same file again.

``python -m benchmarks.diff [SIZE …]``: each import is a process of its own; its time and peak memory are measured up to
the job in the ledger. Linking is left out: the learners of the first file are marked as linked.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import django
from rich.console import Console
from rich.table import Table

from benchmarks.servers import start_servers

SIZES = (100_000, 1_000_000)
EDITS = 10


def main() -> None:
    """Measure the given sizes and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.diff", description=__doc__)
    parser.add_argument("sizes", type=int, nargs="*", default=SIZES, help="rows per file")
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)  # Import only this, in this process.
    options = parser.parse_args()
    if options.file:
        django.setup()
        _import(options.file)
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    table = Table("rows", "file", "submitted", "skipped", "time", "of it CPU", "peak")
    for size in options.sizes:
        with ExitStack() as stack, console.status(f"importing {size:,} rows"):
            server_url, _ = start_servers(stack)
            _measure(server_url, size, table)
    console.print(table)


def _measure(server_url: str, size: int, table: Table) -> None:
    from benchmarks.databases import Databases  # noqa: PLC0415 - models need Django to be set up
    from benchmarks.workloads import Workload  # noqa: PLC0415

    databases = Databases(server_url)
    databases.make_templates(1_000, (Workload.FRESH,))
    databases.restore(Workload.FRESH)
    with tempfile.TemporaryDirectory() as folder, databases.connect() as connection:
        for name, edits in (("first", 0), ("ten other rows", EDITS), ("the same", EDITS)):
            path = Path(folder) / "x.csv"
            _write_file(path, size, edits)
            command = [sys.executable, "-m", "benchmarks.diff", "--file", str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own module
            if done.returncode:
                sys.exit(f"exit status {done.returncode}: {done.stderr}")
            found = json.loads(done.stdout)
            row = (f"{size:,}", name, f"{found['submitted']:,}", f"{found['skipped']:,}")
            table.add_row(*row, f"{found['seconds']:.1f} s", f"{found['cpu']:.1f} s", f"{found['peak']:.0f} MiB")
            connection.execute("UPDATE worker_linkingjob SET state = 'done', announced = now()")
            connection.execute("UPDATE worker_learneroutcome SET outcome = 'linked'")
            connection.execute("VACUUM ANALYZE")


def _write_file(path: Path, size: int, edits: int) -> None:
    from benchmarks.workloads import PROGRAM, learner  # noqa: PLC0415 - models need Django to be set up

    step = size // edits if edits else size
    with path.open("w") as file:
        file.write("program_uuid,external_user_key,lms_username\n")
        for position in range(size):
            key, username = learner(position, size)
            edited = "edited-" if edits and position % step == 0 else ""
            file.write(f"{PROGRAM},{key},{edited}{username}\n")


def _import(path: Path) -> None:
    from worker.imports.submission import import_in_place  # noqa: PLC0415 - models need Django to be set up
    from worker.models import LinkingJob  # noqa: PLC0415

    began, cpu = time.perf_counter(), time.process_time()
    file = import_in_place(path, mode="diff")
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    (job,) = LinkingJob.objects.filter(pk__in=file.jobs)
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))
    found = {"submitted": job.total, "skipped": job.options["skipped"], "seconds": seconds, "cpu": cpu, "peak": peak}
    print(json.dumps(found))  # noqa: T201 - to the parent process


if __name__ == "__main__":
    main()
