"""A short round of ``make chaos``: nothing lost, nothing done twice, nothing left hanging."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_short_round_of_chaos_loses_doubles_and_leaves_hanging_nothing() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}

    done = subprocess.run(
        [sys.executable, "-m", "chaos", "--seed", "4", "--learners", "4000", "--faults", "16"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"0 lost, 0 doubled, 0 hanging, 0 other", done.stdout)
    for fault in ("worker killed", "Redis restarted empty", "PostgreSQL killed", "fan-out killed at a line"):
        assert fault in done.stdout
