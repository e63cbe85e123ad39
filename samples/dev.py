"""``make dev``: everything there is, on private servers with the sample program, for clicking through.

``DATABASE_URL`` and ``CELERY_BROKER_URL``, where they are set, name the servers to use instead.
"""

import os
import secrets
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import NoReturn

from rich.console import Console

from devservers import Beat, FlowerServer, WebServer, WorkerProcess, postgres, redis, worker_process
from samples.demo import INTERRUPTED, prepare_database
from samples.program import PROGRAM_UUID, sample_program

OPERATOR = "operator"

console = Console(highlight=False, soft_wrap=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Everything that is up, and the one user of its pages."""

    worker: WorkerProcess
    beat: Beat
    web: WebServer
    flower: FlowerServer
    username: str
    password: str


@contextmanager
def stage(port: int | None = None) -> Iterator[Stage]:
    """Start everything on the sample program; ``port`` of the pages, a free one by default."""
    with ExitStack() as servers:
        os.environ.setdefault("SECRET_KEY", secrets.token_urlsafe())
        os.environ["DATABASE_URL"] = servers.enter_context(postgres(from_environment=True))
        os.environ["CELERY_BROKER_URL"] = servers.enter_context(redis(from_environment=True))
        prepare_database(sample_program())
        password = _make_operator()
        worker = servers.enter_context(worker_process({}))
        beat = servers.enter_context(Beat({}))
        web = servers.enter_context(WebServer({}, port=port))
        flower = servers.enter_context(FlowerServer({}))
        yield Stage(worker=worker, beat=beat, web=web, flower=flower, username=OPERATOR, password=password)


def main() -> int:
    """Run everything until Ctrl-C; return the exit status."""
    signal.signal(signal.SIGTERM, _leave)
    try:
        with stage(port=int(os.environ.get("PORT", "8000")) or None) as up:
            _tell(up)
            signal.pause()
    except KeyboardInterrupt:
        console.print("\nInterrupted; nothing is left running.")
    return INTERRUPTED


def _leave(*_: object) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)


def _tell(up: Stage) -> None:
    console.print("[green]✓[/green] PostgreSQL, Redis, a worker, beat, Flower and the pages are up.\n")
    console.print(f"  {up.web.url}")
    console.print(f"  user [bold]{up.username}[/bold]  password [bold]{up.password}[/bold]\n")
    console.print(f"  {up.flower.url}  (Flower)\n  user and password [bold]{up.flower.basic_auth}[/bold]\n")
    console.print("Linking jobs → Upload a mapping takes samples/mapping.csv for the program")
    console.print(f"  {PROGRAM_UUID}\n")
    console.print("In another terminal:")
    for name in ("DATABASE_URL", "CELERY_BROKER_URL", "SECRET_KEY"):
        console.print(f"  export {name}='{os.environ[name]}'", markup=False)
    for server in (up.worker, up.beat, up.web, up.flower):
        console.print(f"  tail -f {server.log}", markup=False)
    console.print("\nEverything stays up until Ctrl-C.")


def _make_operator() -> str:
    """Make a user who may do everything; return a new password for it."""
    from django.contrib.auth import get_user_model  # noqa: PLC0415 - the settings need the servers' addresses

    password = secrets.token_urlsafe(12)
    get_user_model().objects.create_superuser(OPERATOR, password=password)
    return password


if __name__ == "__main__":
    sys.exit(main())
