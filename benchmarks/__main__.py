"""``python -m benchmarks``: private servers up, everything measured, servers down."""

import argparse
import logging
import os
import secrets
import signal
import sys
from contextlib import ExitStack
from typing import NoReturn

import django
from rich.console import Console

from benchmarks.plan import DEFAULT, FULL, SMALL
from worker.embedded import postgres, redis


def main() -> int:
    """Run the benchmark; return its exit status: 1 where two contestants left different rows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--small", action="store_const", const=SMALL, dest="plan", help="within a minute, to try it out")
    size.add_argument(
        "--full", action="store_const", const=FULL, dest="plan", help="with a stream of a million learners"
    )
    parser.set_defaults(plan=DEFAULT)
    plan = parser.parse_args().plan
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    signal.signal(signal.SIGTERM, _leave)
    try:
        with ExitStack() as servers:
            # Whatever the shell's environment says of the worker: the defaults are what is measured.
            for name in [*os.environ]:
                if name.startswith(("LINKING_", "CELERY_")) or name in {"DEBUG", "DATABASE_URL"}:
                    del os.environ[name]
            server_url = servers.enter_context(postgres())
            broker_url = servers.enter_context(redis())
            os.environ["SECRET_KEY"] = secrets.token_urlsafe()
            os.environ["CELERY_BROKER_URL"] = broker_url
            os.environ["DJANGO_SETTINGS_MODULE"] = "worker.settings"
            os.environ["DATABASE_URL"] = server_url.replace("/postgres?", "/bench?")
            django.setup()
            logging.disable(logging.INFO)
            from benchmarks.measuring import DifferenceError  # noqa: PLC0415 - models need Django set up
            from benchmarks.running import run  # noqa: PLC0415 - as above

            try:
                run(plan, server_url, broker_url, console)
            except DifferenceError as difference:
                console.print(f"[red]{difference}")
                return 1
    except KeyboardInterrupt:
        console.print("Interrupted; nothing is left running.")
        return 128 + signal.SIGINT
    return 0


def _leave(*_: object) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
