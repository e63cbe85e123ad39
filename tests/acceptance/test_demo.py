"""``make demo`` links the sample, checks the result, and can be interrupted."""

import os
import re
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support.programs import started

if TYPE_CHECKING:
    import subprocess


@pytest.fixture
def demo() -> Iterator["subprocess.Popen[str]"]:
    with started("samples.demo") as process:
        yield process


def test_the_demo_has_the_expected_numbers(demo: "subprocess.Popen[str]") -> None:
    output, _ = demo.communicate(timeout=120)

    assert demo.returncode == 0, output
    assert "These are the expected numbers for the sample." in output
    assert re.search(r"linked\W+1,755", output)
    assert "No user found with username" in output


def test_an_interrupted_demo_ends_at_once_and_reports_it(demo: "subprocess.Popen[str]") -> None:
    assert demo.stdout is not None
    for line in demo.stdout:
        if line.startswith("$ manage.py"):
            break

    os.killpg(demo.pid, signal.SIGINT)
    output, _ = demo.communicate(timeout=20)

    assert demo.returncode == 130
    assert output.endswith("Interrupted; nothing is left running.\n")
