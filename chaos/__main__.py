"""The command line of ``make chaos``."""

import argparse
import os
import secrets
import signal
import sys
import time
from typing import NoReturn

from rich.console import Console

from chaos.settings import Settings

console = Console(highlight=False, soft_wrap=True)
INTERRUPTED = 130


def main() -> int:
    """Run the rounds; return the exit status: 0 if no round has a violation."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1, help="number of jobs (default 1)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first round, plus 1 for each further one")
    parser.add_argument(
        "--database",
        choices=["postgresql", "mysql", "mariadb"],
        default="postgresql",
        help="the database server, of the system but for PostgreSQL (default postgresql)",
    )
    parser.add_argument(
        "--broker",
        choices=["redis", "rabbitmq"],
        default="redis",
        help="the broker, RabbitMQ in Docker (default redis)",
    )
    parser.add_argument("--learners", type=int, default=20_000, help="per job, in multiples of 2,000 (default 20000)")
    parser.add_argument("--faults", type=int, default=40, help="faults per round (default 40)")
    parser.add_argument("--stall-after", type=int, default=4, help="LINKING_STALL_AFTER in seconds (default 4)")
    parser.add_argument(
        "--as-shipped", action="store_true", help="production intervals: a round takes minutes after its last fault"
    )
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _exit_on_sigterm)
    try:
        return _run(options)
    except KeyboardInterrupt:
        console.print("\nInterrupted; nothing is left running.")
        return INTERRUPTED


def _exit_on_sigterm(*_: object) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)


def _settings(options: argparse.Namespace) -> Settings:
    from chaos.injection import RECOVERY_INTERVAL, VISIBILITY_TIMEOUT  # noqa: PLC0415 - it loads the app

    if options.as_shipped:
        return Settings(
            faults=options.faults, stall_after=60, lock_timeout=10, visibility_timeout=90, hang_after=600, env={}
        )
    stall, visibility = options.stall_after, 1.5 * options.stall_after  # The proportion of production.
    lock_timeout = max(1, stall // 2)
    env = {
        "LINKING_STALL_AFTER": str(stall),
        "LINKING_LOCK_TIMEOUT": str(lock_timeout),
        RECOVERY_INTERVAL: str(stall / 2),
        VISIBILITY_TIMEOUT: str(visibility),
    }
    return Settings(
        faults=options.faults,
        stall_after=stall,
        lock_timeout=lock_timeout,
        visibility_timeout=visibility,
        hang_after=45 * stall,
        env=env,
    )


def _run(options: argparse.Namespace) -> int:
    for name in [*os.environ]:
        if name.startswith(("LINKING_", "CELERY_")) or name == "DEBUG":
            del os.environ[name]
    os.environ["SECRET_KEY"] = secrets.token_urlsafe()
    from chaos.brokers import BROKERS  # noqa: PLC0415 - after the environment is cleared
    from chaos.databases import DATABASES  # noqa: PLC0415 - after the environment is cleared
    from chaos.rows import prepare  # noqa: PLC0415 - as above

    with DATABASES[options.database]() as database:
        began = time.monotonic()
        baseline = prepare(database, options.learners)
        console.print(
            f"{len(baseline.mapping):,} learners; without faults, one process links them in {baseline.seconds:.1f} s"
            f" ({time.monotonic() - began:.0f} s to prepare)."
        )
        from chaos.report import Summary  # noqa: PLC0415 - these load models, which need the server's address
        from chaos.rounds import run_round  # noqa: PLC0415 - as above

        settings = _settings(options)
        summary = Summary(console, settings, f"BROKER={options.broker} DATABASE={options.database}")
        for seed in range(options.seed, options.seed + options.rounds):
            summary.add(run_round(seed, database, BROKERS[options.broker](), baseline, settings))
    return summary.close()


if __name__ == "__main__":
    sys.exit(main())
