"""``python -m benchmarks``: measure all variants on private servers."""

import argparse
import signal
import sys
from contextlib import ExitStack
from typing import NoReturn

from rich.console import Console

from benchmarks.plan import DEFAULT, FULL, SMALL
from benchmarks.servers import start_servers


def main() -> int:
    """Run the benchmark; return its exit status: 1 if two variants left different rows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--small", action="store_const", const=SMALL, dest="plan", help="one minute, to try it out")
    size.add_argument(
        "--full", action="store_const", const=FULL, dest="plan", help="with a streamed job of a million learners"
    )
    parser.set_defaults(plan=DEFAULT)
    plan = parser.parse_args().plan
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    signal.signal(signal.SIGTERM, _exit_on_sigterm)
    try:
        with ExitStack() as servers:
            server_url, (broker_url,) = start_servers(servers, brokers=1)
            from benchmarks.measuring import DifferenceError  # noqa: PLC0415 - models need Django to be set up
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


def _exit_on_sigterm(*_: object) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
