"""``make demo``: the sample program, linked by a real worker on private servers.

``DATABASE_URL`` and ``CELERY_BROKER_URL``, where they are set, name the servers to use instead.
"""

import argparse
import os
import secrets
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.table import Table

from devservers import postgres, redis, worker_process
from samples.program import MAPPING_FILE, PROGRAM_UUID, SampleProgram, sample_program

ROOT = Path(__file__).resolve().parents[1]
WORKER_PROCESSES = 2
SOME_FAILED = 3
"""Exit status of the command where not every learner could be linked: the sample is made so."""
INTERRUPTED = 130

console = Console(highlight=False, soft_wrap=True)


def main() -> int:
    """Run the demo; return its exit status: 0 if linking gave the numbers that the sample was made to give."""
    parser = argparse.ArgumentParser(description="Link a sample program of 2,000 learners on private servers.")
    parser.add_argument("--stay", action="store_true", help="keep the servers up afterwards, until Ctrl-C")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _leave)
    try:
        with ExitStack() as servers:
            return _run(servers, stay=options.stay)
    except KeyboardInterrupt:
        console.show_cursor()
        console.print("\nInterrupted; nothing is left running.")
        return INTERRUPTED


def _leave(*_: object) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)


def _run(servers: ExitStack, *, stay: bool) -> int:
    clock = time.monotonic()
    os.environ.setdefault("SECRET_KEY", secrets.token_urlsafe())
    os.environ["DATABASE_URL"] = servers.enter_context(postgres(from_environment=True))
    os.environ["CELERY_BROKER_URL"] = servers.enter_context(redis(from_environment=True))
    clock = _tell("PostgreSQL and Redis are up", clock)

    sample = sample_program()
    prepare_database(sample)
    clock = _tell(f"{len(sample.enrollments):,} learners with two course runs each are in the database", clock)

    worker = servers.enter_context(worker_process({}, concurrency=WORKER_PROCESSES))
    _tell(f"A Celery worker with {WORKER_PROCESSES} processes is ready", clock)

    command = [
        "manage.py",
        "link_program_enrollments",
        str(PROGRAM_UUID),
        "--file",
        str(MAPPING_FILE.relative_to(ROOT)),
    ]
    console.print(f"\n[bold]$ {' '.join(command)}")
    # In a session of its own, so that Ctrl-C is ours to handle.
    status = subprocess.run([sys.executable, *command], cwd=ROOT, start_new_session=True, check=False).returncode  # noqa: S603 - our own command
    if status != SOME_FAILED:
        console.print(f"\n[red]The command ended with {status}, not {SOME_FAILED}. The worker's log ends:[/red]")
        console.print(worker.log.read_text()[-4000:], markup=False)
        return 1
    if not _is_as_expected(sample):
        return 1
    _tell_how_to_look_further(stay=stay)
    return 0


def _tell(what: str, since: float) -> float:
    now = time.monotonic()
    console.print(f"[green]✓[/green] {what} [dim]({now - since:.1f} s)[/dim]")
    return now


def prepare_database(sample: SampleProgram) -> None:
    """Make the tables and the rows of the sample."""
    import django  # noqa: PLC0415 - the settings need the servers' addresses

    os.environ["DJANGO_SETTINGS_MODULE"] = "worker.settings"
    django.setup()
    from django.core.management import call_command  # noqa: PLC0415 - as above

    from linking.models import ProgramEnrollment  # noqa: PLC0415 - as above
    from samples.rows import write_rows  # noqa: PLC0415 - as above

    call_command("migrate", verbosity=0)
    if ProgramEnrollment.objects.filter(program_uuid=PROGRAM_UUID).exists():
        sys.exit("The database that DATABASE_URL names holds the sample already: the demo needs one without it.")
    write_rows(sample)


def _is_as_expected(sample: SampleProgram) -> bool:
    """Compare the ledger with what the sample was made to give, and say so."""
    from worker.models import LinkingJob  # noqa: PLC0415 - the settings need the servers' addresses

    job = LinkingJob.objects.latest("created")
    counts = {outcome: count for outcome, count in job.counts.items() if count}
    if counts == sample.expected:
        console.print("\n[green]✓[/green] These are the numbers that the sample was made to give.")
        return True
    table = Table("outcome", "expected", "found", title="[red]Not the numbers that the sample was made to give")
    for outcome in sorted(counts.keys() | sample.expected.keys()):
        table.add_row(outcome, str(sample.expected[outcome]), str(counts.get(outcome, 0)))
    console.print(table)
    return False


def _tell_how_to_look_further(*, stay: bool) -> None:
    console.print("\nTo look further:")
    console.print("  .venv/bin/python manage.py link_program_enrollments --help   what else the command does")
    console.print("  samples/program.py                                           what the sample is made of")
    if not stay:
        console.print(
            "  make demo STAY=1                                             keep the servers up to look around"
        )
        return
    console.print("\nThe servers stay up until Ctrl-C. In another terminal:")
    for name in ("DATABASE_URL", "CELERY_BROKER_URL", "SECRET_KEY"):
        console.print(f"  export {name}='{os.environ[name]}'", markup=False)
    console.print("  .venv/bin/celery -A worker status")
    console.print("  .venv/bin/python manage.py shell")
    signal.pause()


if __name__ == "__main__":
    sys.exit(main())
