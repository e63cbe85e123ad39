"""The import of files of several sizes: time, and peak memory of the process.

``python -m benchmarks.imports [SIZE …]``: one process reads each file from an inbox and writes its job to the ledger;
another process writes the report. Linking is not included: ``make bench FULL=1`` measures a streamed job to its end.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import django
from rich.console import Console
from rich.table import Table

from benchmarks.servers import start_servers

SIZES = (1_000, 1_000_000)


def main() -> None:
    """Measure the given sizes and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.imports", description=__doc__)
    parser.add_argument("sizes", type=int, nargs="*", default=SIZES, help="learners per file")
    parser.add_argument("--step", help=argparse.SUPPRESS)  # Run only this step, in this process.
    options = parser.parse_args()
    if options.step:
        django.setup()
        print(json.dumps({"import": _import, "report": _report}[options.step]()))  # noqa: T201 - to the parent process
        return
    with ExitStack() as stack:
        server_url, _ = start_servers(stack)
        _measure(server_url, options.sizes)


def _measure(server_url: str, sizes: Sequence[int]) -> None:
    from benchmarks.databases import Databases  # noqa: PLC0415 - models need Django to be set up
    from benchmarks.workloads import Workload  # noqa: PLC0415

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    table = Table("learners", "read and checked", "written to the ledger", "rows a second", "peak", "report", "peak")
    with console.status("creating a program") as status:
        databases = Databases(server_url)
        databases.make_templates(max(sizes), (Workload.FRESH,))
        for size in sizes:
            status.update(f"importing {size:,} learners")
            databases.restore(Workload.FRESH)
            with tempfile.TemporaryDirectory() as folder:
                os.environ["LINKING_INBOX"] = folder
                _write_file(Path(folder) / "x.csv", size, max(sizes))
                imported = _run_step("import")
                _check(imported["rows"], size)
                with databases.connect() as connection:
                    connection.execute("UPDATE worker_linkingjob SET state = 'done', announced = now()")
                report = _run_step("report")
                _check(report["rows"], size)
            table.add_row(
                f"{size:,}",
                f"{imported['read']:.1f} s",
                f"{imported['ledger']:.1f} s",
                f"{size / (imported['read'] + imported['ledger']):,.0f}",
                f"{imported['peak']:.0f} MiB",
                f"{report['seconds']:.1f} s",
                f"{report['peak']:.0f} MiB",
            )
    console.print(table)


def _write_file(path: Path, size: int, total: int) -> None:
    from benchmarks.workloads import PROGRAM, learner  # noqa: PLC0415 - models need Django to be set up

    with path.open("w") as file:
        file.write("program_uuid,external_user_key,lms_username\n")
        file.writelines(f"{PROGRAM},{','.join(learner(position, total))}\n" for position in range(size))


def _check(rows: int, expected: int) -> None:
    if rows != expected:
        sys.exit(f"{rows:,} learners instead of {expected:,}: the figures are not valid")


def _run_step(step: str) -> dict[str, Any]:
    """Run a step in a new process; return its figures."""
    command = [sys.executable, "-m", "benchmarks.imports", "--step", step]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own module
    if completed.returncode:
        sys.exit(completed.stderr)
    figures: dict[str, Any] = json.loads(completed.stdout)
    return figures


def _import() -> dict[str, Any]:
    from worker.imports import folder as inbox_folder  # noqa: PLC0415 - models need Django to be set up
    from worker.imports import inbox  # noqa: PLC0415
    from worker.imports.import_file import ImportFile  # noqa: PLC0415
    from worker.models import LinkingJob  # noqa: PLC0415

    inbox_folder.SETTLE_SECONDS = 0.0
    folder = inbox_folder.prepare_inbox()
    names = inbox_folder.list_inbox(folder).settled
    began = time.perf_counter()
    with ImportFile(folder / names[0]):
        reading = time.perf_counter() - began
    began = time.perf_counter()
    (file,) = inbox.claim_files(folder, names)  # This reads the file again.
    seconds = time.perf_counter() - began
    (job,) = LinkingJob.objects.filter(pk__in=file.jobs)
    return {"rows": job.learners.count(), "read": reading, "ledger": seconds - reading, "peak": _peak()}


def _report() -> dict[str, Any]:
    from worker.imports import inbox  # noqa: PLC0415 - models need Django to be set up
    from worker.imports.folder import prepare_inbox  # noqa: PLC0415

    folder = prepare_inbox()
    began = time.perf_counter()
    (file,) = inbox.advance_files(folder)
    seconds = time.perf_counter() - began
    with (folder / "done" / f"{file.kept_as}.report.csv").open() as report:
        rows = sum(1 for _ in report) - 1
    return {"rows": rows, "seconds": seconds, "peak": _peak()}


def _peak() -> float:
    """Return the peak resident size of this process in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    main()
