"""``make demo``: link the sample program with a worker on private servers, and check the result.

If ``DATABASE_URL`` or ``CELERY_BROKER_URL`` is set, the demo uses that server instead of a private one.
"""

import argparse
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.table import Table

from devservers import PostgresServer, RedisServer, WorkerProcess
from devservers.process_guard import signals_deferred
from samples.program import MAPPING_FILE, PROGRAM_UUID, SampleProgram, sample_program

ROOT = Path(__file__).resolve().parents[1]
WORKER_PROCESSES = 2
SOME_FAILED = 3
"""Exit status of the command if not every learner was linked, as in the sample."""
INTERRUPTED = 130

console = Console(highlight=False, soft_wrap=True)


def main() -> int:
    """Run the demo; return its exit status: 0 if linking had the expected result."""
    parser = argparse.ArgumentParser(description="Link a sample program of 2,000 learners on private servers.")
    parser.add_argument("--stay", action="store_true", help="keep the servers running until Ctrl-C")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, exit_on_sigterm)
    try:
        with ExitStack() as servers:
            return _run(servers, stay=options.stay)
    except KeyboardInterrupt:
        console.show_cursor()
        console.print("\nInterrupted; nothing is left running.")
        return INTERRUPTED


def exit_on_sigterm(*_: object) -> NoReturn:
    """Exit through the context managers that end the servers."""
    sys.exit(128 + signal.SIGTERM)


@contextmanager
def private_unless_named(variable: str, server: PostgresServer | RedisServer) -> Iterator[str]:
    """Yield the URL in the environment variable ``variable``; if it is not set, run ``server`` and set it."""
    if url := os.environ.get(variable):
        yield url
        return
    with server:
        os.environ[variable] = server.url
        yield server.url


def start_servers(servers: ExitStack, sample: SampleProgram) -> None:
    """Start database and broker, and write the sample into the database."""
    clock = time.monotonic()
    os.environ.setdefault("SECRET_KEY", secrets.token_urlsafe())
    servers.enter_context(private_unless_named("DATABASE_URL", PostgresServer()))
    servers.enter_context(private_unless_named("CELERY_BROKER_URL", RedisServer()))
    clock = print_step("PostgreSQL and Redis are running", clock)
    _prepare_database(sample)
    print_step(f"The database holds {len(sample.enrollments):,} learners with two course runs each", clock)


def print_step(text: str, since: float) -> float:
    """Print what was done and how long it took; return the current time."""
    now = time.monotonic()
    console.print(f"[green]✓[/green] {text} [dim]({now - since:.1f} s)[/dim]")
    return now


def print_environment() -> None:
    """Print the commands that give another terminal the same environment."""
    console.print("In another terminal:")
    for name in ("DATABASE_URL", "CELERY_BROKER_URL", "SECRET_KEY"):
        console.print(f"  export {name}='{os.environ[name]}'", markup=False)


def _run(servers: ExitStack, *, stay: bool) -> int:
    sample = sample_program()
    start_servers(servers, sample)
    clock = time.monotonic()
    worker = servers.enter_context(WorkerProcess({}, concurrency=WORKER_PROCESSES))
    print_step(f"A Celery worker with {WORKER_PROCESSES} processes is running", clock)

    command = [
        "manage.py",
        "link_program_enrollments",
        str(PROGRAM_UUID),
        "--file",
        str(MAPPING_FILE.relative_to(ROOT)),
    ]
    console.print(f"\n[bold]$ {' '.join(command)}")
    with signals_deferred():  # Ctrl-C while the process starts must not leave it running.
        # In a session of its own: Ctrl-C in the terminal interrupts only this process, which then ends the servers.
        process = subprocess.Popen([sys.executable, *command], cwd=ROOT, start_new_session=True)  # noqa: S603 - our own command
        servers.callback(process.wait)
        servers.callback(process.kill)
    status = process.wait()
    if status != SOME_FAILED:
        console.print(f"\n[red]The command ended with {status}, not {SOME_FAILED}. The worker's log ends:[/red]")
        console.print(worker.log.read_text()[-4000:], markup=False)
        return 1
    if not _is_as_expected(sample):
        return 1
    _print_next_steps(stay=stay)
    worker.stop()
    return 0


def _prepare_database(sample: SampleProgram) -> None:
    """Create the tables and write the rows of the sample."""
    import django  # noqa: PLC0415 - the settings need the servers' addresses

    os.environ["DJANGO_SETTINGS_MODULE"] = "worker.settings"
    django.setup()
    from django.core.management import call_command  # noqa: PLC0415 - as above

    from linking.models import ProgramEnrollment  # noqa: PLC0415 - as above
    from samples.rows import write_rows  # noqa: PLC0415 - as above

    call_command("migrate", verbosity=0)
    if ProgramEnrollment.objects.filter(program_uuid=PROGRAM_UUID).exists():
        sys.exit("The database in DATABASE_URL already contains the sample program; use a database without it.")
    write_rows(sample)


def _is_as_expected(sample: SampleProgram) -> bool:
    """Compare the job's outcomes with those that the sample is made to have, and print the result."""
    from worker.models import LinkingJob  # noqa: PLC0415 - the settings need the servers' addresses

    job = LinkingJob.objects.latest("created")
    counts = {outcome: count for outcome, count in job.counts.items() if count}
    if counts == sample.expected:
        console.print("\n[green]✓[/green] These are the expected numbers for the sample.")
        return True
    table = Table("outcome", "expected", "found", title="[red]These are not the expected numbers for the sample")
    for outcome in sorted(counts.keys() | sample.expected.keys()):
        table.add_row(outcome, str(sample.expected[outcome]), str(counts.get(outcome, 0)))
    console.print(table)
    return False


def _print_next_steps(*, stay: bool) -> None:
    console.print("\nNext steps:")
    console.print("  .venv/bin/python manage.py link_program_enrollments --help   all options of the command")
    console.print("  samples/program.py                                           the contents of the sample")
    if not stay:
        console.print("  make demo STAY=1                                             keep the servers running")
        console.print(
            "  make dev                                                     try the admin's pages in a browser"
        )
        return
    console.print("\nThe servers run until Ctrl-C. ", end="")
    print_environment()
    console.print("  .venv/bin/celery -A worker status")
    console.print("  .venv/bin/python manage.py shell")
    signal.pause()


if __name__ == "__main__":
    sys.exit(main())
