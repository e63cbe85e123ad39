"""A project of Compose, started from one of our files as it is."""

import base64
import json
import os
import shutil
import subprocess
import textwrap
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker
from docker.errors import ImageNotFound
from docker.models.containers import Container

from tests.smoke.conftest import ROOT


class Stack:
    """A project of Compose with a unique name.

    Args:
        client: the client of the Docker engine.
        settings: they replace the file ``.env``.
        file: the file of Compose, below the repository or absolute.
        services: what precedes the names of services.
    """

    def __init__(
        self,
        client: docker.DockerClient,
        settings: Mapping[str, str],
        file: str = "docker-compose.yml",
        services: str = "",
    ) -> None:
        self.client = client
        self._file, self._services = file, services
        self.project = f"linking-smoke-{uuid.uuid4().hex[:8]}"
        self.image = f"program-linking:{self.project}"
        ports = {"WEB_PORT": "", "FLOWER_PORT": ""}  # Random ports.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("LINKING_")}
        names = {"LINKING_IMAGE": self.image, "COMPOSE_PROJECT_NAME": self.project}
        self.env = inherited | dict(settings) | ports | names
        self._compose = ["docker", "compose"]
        if subprocess.run([*self._compose, "version"], capture_output=True, check=False).returncode != 0:
            self._compose = ["docker-compose"]

    def compose(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run ``docker compose ARGUMENTS…``."""
        done = subprocess.run(
            [*self._compose, "-f", str(ROOT / self._file), *arguments],
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def bash(self, commands: str) -> str:
        """Run documented commands in the folder of the file of Compose; return what they print."""
        folder = Path(ROOT / self._file).parent
        done = subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", commands],
            cwd=folder,
            env={**self.env, "PATH": f"{folder / 'bin'}:{self.env['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
        return done.stdout

    def write_docker(self, folder: Path) -> None:
        """Write a program `docker` that has the command `compose`, whatever the version of Compose."""
        compose, docker = " ".join(self._compose), shutil.which("docker")
        if self._compose == ["docker", "compose"]:
            compose = f"{docker} compose"
        write_program(
            folder / "docker", f'[ "$1" != compose ] || {{ shift; exec {compose} "$@"; }}\nexec {docker} "$@"'
        )

    def containers(self, service: str | None = None) -> list[Container]:
        """Return the containers of one service, or of all."""
        labels = [f"com.docker.compose.project={self.project}"]
        labels += [f"com.docker.compose.service={service}"] if service else []
        found: list[Container] = self.client.containers.list(all=True, filters={"label": labels})
        return found

    def run(self, service: str, command: str) -> tuple[int, str]:
        """Run a command in a shell in the first container of a service; return its status and output."""
        status, output = self.containers(service)[0].exec_run(["sh", "-c", command])
        return status, output.decode()

    def shell(self, code: str) -> str:
        """Run code in our image, with Django set up."""
        return self.compose(
            "exec", "-T", f"{self._services}web", "python", "manage.py", "shell", "-v", "0", "-c", code
        ).stdout.strip()

    def get(self, service: str, port: int, path: str, user: str = "") -> tuple[int, str]:
        """Get a page through a port of this machine; return its status and text."""
        address = self.compose("port", service, str(port)).stdout.strip()
        assert address.startswith("127.0.0.1:")
        request = urllib.request.Request(f"http://{address}{path}")
        if user:
            request.add_header("Authorization", "Basic " + base64.b64encode(user.encode()).decode())
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - our own address
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def health(self) -> dict[str, str]:
        """Return the health of every container that has one, or its state if it has ended."""
        shown = {}
        for container in self.containers():
            state = container.attrs["State"]
            shown[container.name] = state.get("Health", {}).get("Status") or state["Status"]
        return shown

    def down(self) -> None:
        """Remove the containers, networks, volumes and the image."""
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "5")
        with suppress(ImageNotFound):  # It could not be built.
            self.client.images.remove(self.image, force=True)

    def workers(self) -> dict[str, Any]:
        """Return Flower's description of each worker."""
        status, text = self.get(
            f"{self._services}flower", 5555, "/api/workers?refresh=1", self.env["FLOWER_BASIC_AUTH"]
        )
        assert status == 200
        workers: dict[str, Any] = json.loads(text)
        return workers


def write_program(path: Path, script: str) -> None:
    """Write a shell script that can be run."""
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\n" + textwrap.dedent(script).strip() + "\n")
    path.chmod(0o755)
