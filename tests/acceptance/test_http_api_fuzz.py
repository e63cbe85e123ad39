"""Random requests, valid and invalid, made from the API's own description: each response is one that it describes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import api_description
from tests.support.api import make_token
from tests.support.http_server import ApiServer
from worker.models import LinkingJob

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.usefixtures("redis_without_worker")
def test_every_response_is_one_that_the_description_has(worker_env: dict[str, str], tmp_path: Path) -> None:
    with ApiServer(worker_env, make_token(requests_per_minute=1_000_000)) as server:
        command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{server.url}/api/openapi.json"]
        options = ["--header", f"Authorization: Bearer {server.token}", "--max-examples", "10", "--seed", "1"]
        run = subprocess.run(
            [*command, *options, "--no-color"],
            env={**os.environ, "SCHEMATHESIS_HOOKS": api_description.__name__, "PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]
    assert "Tested: 2" in run.stdout
    assert LinkingJob.objects.count() > 5
