"""``make dev``: run all processes on private servers with the sample program, to try the pages in a browser.

If ``DATABASE_URL`` or ``CELERY_BROKER_URL`` is set, that server is used instead of a private one.
"""

import os
import secrets
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from devservers import Beat, FlowerServer, WebServer, WorkerProcess
from samples.demo import INTERRUPTED, console, exit_on_sigterm, print_environment, start_servers
from samples.program import PROGRAM_NAME, PROGRAM_UUID, sample_program

USERNAME = "operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The running processes, and the password of the user ``operator``, who may use all pages."""

    worker: WorkerProcess
    beat: Beat
    web: WebServer
    flower: FlowerServer
    password: str


@contextmanager
def environment(port: int | None = None) -> Iterator[Environment]:
    """Run all processes on the sample program; ``port`` of the web server, a free one by default."""
    with ExitStack() as servers:
        start_servers(servers, sample_program())
        password = _create_operator()
        _name_program()
        yield Environment(
            worker=servers.enter_context(WorkerProcess({})),
            beat=servers.enter_context(Beat({})),
            web=servers.enter_context(WebServer({}, port=port)),
            flower=servers.enter_context(FlowerServer({})),
            password=password,
        )


def main() -> int:
    """Run all processes until Ctrl-C; return the exit status."""
    signal.signal(signal.SIGTERM, exit_on_sigterm)
    try:
        with environment(port=int(os.environ.get("PORT", "8000")) or None) as running:
            _print_addresses(running)
            signal.pause()
    except KeyboardInterrupt:
        console.print("\nInterrupted; nothing is left running.")
    return INTERRUPTED


def _print_addresses(running: Environment) -> None:
    console.print("[green]✓[/green] A worker, beat, Flower and the web server are running\n")
    console.print(f"  Admin   {running.web.url}/admin/")
    console.print(f"          user [bold]{USERNAME}[/bold]  password [bold]{running.password}[/bold]")
    console.print(f"  Flower  {running.flower.url}")
    console.print(f"          user and password [bold]{running.flower.basic_auth}[/bold]\n")
    console.print(
        "To link the sample: Linking jobs → Upload a mapping, with the file samples/mapping.csv and the program"
    )
    console.print(f"  {PROGRAM_NAME} ({PROGRAM_UUID})\n")
    print_environment()
    for server in (running.worker, running.beat, running.web, running.flower):
        console.print(f"  tail -f {server.log}", markup=False)
    console.print("\nAll processes run until Ctrl-C.")


def _create_operator() -> str:
    """Create a superuser; return its new password."""
    from django.contrib.auth import get_user_model  # noqa: PLC0415 - the settings need the servers' addresses

    password = secrets.token_urlsafe(12)
    get_user_model().objects.create_superuser(USERNAME, password=password)
    return password


def _name_program() -> None:
    """Give the sample program its name on the pages."""
    from worker.models import ProgramName  # noqa: PLC0415 - the settings need the servers' addresses

    ProgramName.objects.get_or_create(program_uuid=PROGRAM_UUID, defaults={"name": PROGRAM_NAME})


if __name__ == "__main__":
    sys.exit(main())
