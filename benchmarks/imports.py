"""``python -m benchmarks.imports``: what it takes to import a file, at several sizes: memory of the process, and time.

Each file is dropped in an inbox and taken up by a process of its own, on a database of its own that holds the learners;
another process writes the report. Linking is not part of it: ``make bench FULL=1`` measures a streamed job to its end.
"""

import argparse
import json
import os
import secrets
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

from devservers import postgres

SIZES = (1_000, 1_000_000)


def main() -> None:
    """Measure the sizes asked for and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.imports", description=__doc__)
    parser.add_argument("sizes", type=int, nargs="*", default=SIZES, help="learners in a file")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "worker.settings"
    if options.inside:
        django.setup()
        print(json.dumps({"take up": _take_up, "report": _report}[options.inside]()))  # noqa: T201 - to the other process
        return
    for name in [*os.environ]:
        if name.startswith(("LINKING_", "CELERY_")) or name in {"DEBUG", "DATABASE_URL"}:
            del os.environ[name]  # The defaults are what is measured.
    with ExitStack() as stack:
        server_url = stack.enter_context(postgres())
        os.environ["SECRET_KEY"] = secrets.token_urlsafe()
        os.environ["DATABASE_URL"] = server_url.replace("/postgres?", "/bench?")
        django.setup()
        _measure(server_url, options.sizes)


def _measure(server_url: str, sizes: Sequence[int]) -> None:
    from benchmarks.databases import Databases  # noqa: PLC0415 - models need Django set up
    from benchmarks.workloads import Workload  # noqa: PLC0415

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    table = Table("learners", "read and checked", "into the ledger", "rows a second", "peak", "report", "peak")
    with console.status("making a program") as status:
        databases = Databases(server_url)
        databases.make_templates(max(sizes), (Workload.FRESH,))
        for size in sizes:
            status.update(f"importing {size:,} learners")
            databases.restore(Workload.FRESH)
            with tempfile.TemporaryDirectory() as folder:
                os.environ["LINKING_INBOX"] = folder
                _write_file(Path(folder) / "x.csv", size, max(sizes))
                taken = _inside("take up")
                _check(taken["rows"], size)
                with databases.connect() as connection:
                    connection.execute("UPDATE worker_linkingjob SET state = 'done', notified = now()")
                report = _inside("report")
                _check(report["rows"], size)
            table.add_row(
                f"{size:,}",
                f"{taken['read']:.1f} s",
                f"{taken['ledger']:.1f} s",
                f"{size / (taken['read'] + taken['ledger']):,.0f}",
                f"{taken['peak']:.0f} MiB",
                f"{report['seconds']:.1f} s",
                f"{report['peak']:.0f} MiB",
            )
    console.print(table)


def _write_file(path: Path, size: int, total: int) -> None:
    from benchmarks.workloads import PROGRAM, learner  # noqa: PLC0415 - models need Django set up

    with path.open("w") as file:
        file.write("program_uuid,external_user_key,lms_username\n")
        file.writelines(f"{PROGRAM},{','.join(learner(position, total))}\n" for position in range(size))


def _check(rows: int, expected: int) -> None:
    if rows != expected:
        sys.exit(f"{rows:,} learners, and not {expected:,}: the figures are worth nothing.")


def _inside(what: str) -> dict[str, Any]:
    """Do something in a process of its own; return what it tells."""
    command = [sys.executable, "-m", "benchmarks.imports", "--inside", what]
    told = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own module
    if told.returncode:
        sys.exit(told.stderr)
    answer: dict[str, Any] = json.loads(told.stdout)
    return answer


def _take_up() -> dict[str, Any]:
    from worker.imports import inbox  # noqa: PLC0415 - models need Django set up
    from worker.imports.import_file import ImportFile  # noqa: PLC0415
    from worker.models import LinkingJob  # noqa: PLC0415

    inbox.SETTLED_AFTER = 0.0
    folder = inbox.folder()
    names, _ = inbox.look(folder)
    began = time.perf_counter()
    with ImportFile(folder / names[0]):
        reading = time.perf_counter() - began
    began = time.perf_counter()
    (file,) = inbox.take_up(folder, names)  # Which reads it again.
    seconds = time.perf_counter() - began
    (job,) = LinkingJob.objects.filter(pk__in=file.jobs)
    return {"rows": job.learners.count(), "read": reading, "ledger": seconds - reading, "peak": _peak()}


def _report() -> dict[str, Any]:
    from worker.imports import inbox  # noqa: PLC0415 - models need Django set up

    folder = inbox.folder()
    began = time.perf_counter()
    (file,) = inbox.attend(folder)
    seconds = time.perf_counter() - began
    with (folder / "done" / f"{file.kept_as}.report.csv").open() as report:
        rows = sum(1 for _ in report) - 1
    return {"rows": rows, "seconds": seconds, "peak": _peak()}


def _peak() -> float:
    """Return the most that this process has had in memory, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    main()
