"""``python -m benchmarks``: measure all variants on private servers."""

import argparse
import signal
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, NoReturn

from rich.console import Console

from benchmarks.plan import DEFAULT, FULL, SMALL, on
from benchmarks.servers import NAME, start_servers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.interface import Databases
    from benchmarks.variants import Variant


def main() -> int:
    """Run the benchmark; return its exit status: 1 if two variants left different rows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--small", action="store_const", const=SMALL, dest="plan", help="one minute, to try it out")
    size.add_argument(
        "--full", action="store_const", const=FULL, dest="plan", help="with a streamed job of a million learners"
    )
    parser.add_argument("--database", choices=["postgres", "mysql", "mariadb"], default="postgres")
    parser.add_argument("--lms", action="store_true", help="on the tables of an LMS, with history; not on PostgreSQL")
    parser.set_defaults(plan=DEFAULT)
    arguments = parser.parse_args()
    plan, database = arguments.plan, arguments.database
    if database != "postgres":
        plan = on(plan, database, lms=arguments.lms)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    signal.signal(signal.SIGTERM, _exit_on_sigterm)
    try:
        with ExitStack() as servers:
            server_url, (broker_url,) = start_servers(servers, brokers=1, database=database, lms=arguments.lms)
            from benchmarks.measuring import DifferenceError  # noqa: PLC0415 - models need Django to be set up
            from benchmarks.running import run  # noqa: PLC0415 - as above

            databases, variants = _of(database, server_url, servers, lms=arguments.lms)
            try:
                run(plan, databases, variants, server_url=server_url, broker_url=broker_url, console=console)
            except DifferenceError as difference:
                console.print(f"[red]{difference}")
                return 1
    except KeyboardInterrupt:
        console.print("Interrupted; nothing is left running.")
        return 128 + signal.SIGINT
    return 0


def databases_of(database: str, server_url: str, stack: ExitStack, *, lms: bool = False) -> "Databases":
    """Return the databases of a server."""
    if database == "postgres":
        from benchmarks.databases import Databases as PostgresDatabases  # noqa: PLC0415 - as above

        return PostgresDatabases(server_url)
    from benchmarks.mysql.databases import Databases as MySQLDatabases  # noqa: PLC0415 - an extra of the package

    databases = MySQLDatabases(server_url, NAME, lms=lms)
    stack.callback(databases.drop_templates)  # The server may be that of others.
    return databases


def _of(database: str, server_url: str, stack: ExitStack, *, lms: bool) -> "tuple[Databases, Sequence[Variant]]":
    """Return the databases of a server, and the variants that are measured on it."""
    from benchmarks import handwritten  # noqa: PLC0415 - as above
    from benchmarks.variants import ChordPerLearner, Engine, HandwrittenSql, Sequential, Worker  # noqa: PLC0415

    databases = databases_of(database, server_url, stack, lms=lms)
    if database == "postgres":
        return databases, (Sequential(), ChordPerLearner(), Engine(), Worker(), HandwrittenSql(handwritten))
    from benchmarks.mysql import handwritten as on_mysql  # noqa: PLC0415 - an extra of the package
    from benchmarks.mysql.sequential import LMS  # noqa: PLC0415

    sequential = stack.enter_context(LMS()) if lms else Sequential()
    return databases, (sequential, Worker(), HandwrittenSql(on_mysql))


def _exit_on_sigterm(*_: object) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
