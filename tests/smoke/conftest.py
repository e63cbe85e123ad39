"""Containers for the smoke tests: our image as pytest-celery's worker, PostgreSQL, and Redis or RabbitMQ.

Containers have unique names and random ports of 127.0.0.1, so that two runs on one machine do not interfere, and are
removed at the end. Without Docker the tests are skipped; with ``TESTS_MUST_NOT_SKIP=1`` they fail.
"""

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from django.conf import settings
from docker.models.images import Image
from pytest_celery import (
    CeleryTestWorker,
    CeleryWorkerCluster,
    CeleryWorkerContainer,
    RabbitMQContainer,
    RedisContainer,
)
from pytest_docker_tools import container, fxtr, network, wrappers
from pytest_docker_tools.wrappers import Container

ROOT = Path(__file__).resolve().parents[2]
HARDENED: dict[str, Any] = {
    "init": True,
    "read_only": True,
    "tmpfs": {"/tmp": "mode=1777,size=64m"},  # noqa: S108 - the container's own
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
}
"""The options of the services in docker-compose.yml."""
LOCALLY = ("127.0.0.1",)
"""A random port that only this machine reaches."""
STALL_AFTER = 2
"""LINKING_STALL_AFTER of the workers, in seconds."""

# Tests may themselves run in a container; pytest-docker-tools would then not use the published ports.
wrappers.container.tests_inside_container = lambda: False


@pytest.fixture(scope="session")
def docker_client() -> Iterator[docker.DockerClient]:
    """The client of a Docker engine; without an engine, tests are skipped."""
    missing = _missing_engine()
    if missing and os.environ.get("TESTS_MUST_NOT_SKIP"):
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    client = docker.from_env()
    yield client
    client.close()


def _missing_engine() -> str:
    """Return the missing part, if any; found by the program, since the library leaks connections that fail."""
    program = shutil.which("docker")
    if program is None:
        return "needs Docker: no program docker in PATH"
    version = subprocess.run([program, "version"], capture_output=True, text=True, check=False)
    return f"needs a Docker engine: {version.stderr.strip()}" if version.returncode else ""


@pytest.fixture(scope="session")
def celery_base_worker_image(docker_client: docker.DockerClient) -> Iterator[Image]:
    """Our image, built from the Dockerfile."""
    tag = f"program-linking:smoke-{uuid.uuid4().hex[:8]}"
    image, _ = docker_client.images.build(path=str(ROOT), tag=tag, rm=True, forcerm=True)
    yield image
    docker_client.images.remove(tag, force=True)


@pytest.fixture(scope="session")
def service_image(docker_client: docker.DockerClient) -> Iterator[str]:
    """The image of a service that has only Celery."""
    tag = f"linking-smoke-service:{uuid.uuid4().hex[:8]}"
    docker_client.images.build(path=str(Path(__file__).parent / "service"), tag=tag, rm=True, forcerm=True)
    yield tag
    docker_client.images.remove(tag, force=True)


# --- Database ---------------------------------------------------------------------------------------------------------

default_pytest_celery_network = network(scope="session")
postgres = container(
    scope="session",
    image="postgres:15-bookworm",
    environment={"POSTGRES_USER": "linking", "POSTGRES_PASSWORD": "for-tests"},
    command=["postgres", "-c", "fsync=off"],
    ports={"5432/tcp": LOCALLY},
    network="{default_pytest_celery_network.name}",
    tmpfs={"/var/lib/postgresql/data": "uid=999,gid=999,mode=700"},  # Not a volume: volumes are not removed.
    timeout=60,
)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(postgres: Container) -> None:
    """Set the address of the database, just before pytest-django creates the test database."""
    port = postgres.ports["5432/tcp"][0]
    database = {"USER": "linking", "PASSWORD": "for-tests", "HOST": "127.0.0.1", "PORT": port, "NAME": "linking"}
    settings.DATABASES["default"].update(database)


@pytest.fixture(scope="session")
def database_url(django_db_setup: None, postgres: Container) -> str:
    """The ``DATABASE_URL`` of the test database, for this process."""
    return f"postgresql://linking:for-tests@127.0.0.1:{postgres.ports['5432/tcp'][0]}/test_linking"


# --- Brokers ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def redis_server() -> None:
    """No private Redis: Celery would prefer its address in the environment to that of a container."""


# One of each for all tests, which clear its queues: RabbitMQ starts slowly.
default_redis_broker = container(
    scope="session",
    image="redis:7-bookworm",
    command=RedisContainer.command(),
    ports={"6379/tcp": LOCALLY},
    network="{default_pytest_celery_network.name}",
    wrapper_class=RedisContainer,
    tmpfs={"/data": "uid=999,gid=999,mode=700"},
    timeout=60,
)
default_rabbitmq_broker = container(
    scope="session",
    image="rabbitmq:latest",
    ports={"5672/tcp": LOCALLY},
    network="{default_pytest_celery_network.name}",
    wrapper_class=RabbitMQContainer,
    tmpfs={"/var/lib/rabbitmq": "uid=999,gid=999,mode=700"},
    timeout=120,
)


# --- Workers ----------------------------------------------------------------------------------------------------------


class LinkingWorker(CeleryWorkerContainer):  # type: ignore[misc] # pytest-celery has no types
    """Our image, run as docker-compose.yml runs it."""

    @classmethod
    def command(cls, *_args: str, **_options: Any) -> list[str]:
        return []  # The image's own.

    @classmethod
    def worker_name(cls) -> str:
        return "celery"

    @property
    def exit_code(self) -> int:
        self.reload()
        assert self.status == "exited"
        return int(self.attrs["State"]["ExitCode"])

    def stop(self, timeout: int) -> None:
        """Stop as ``docker stop`` does: SIGTERM, and SIGKILL after ``timeout`` seconds."""
        self._container.stop(timeout=timeout)


@pytest.fixture
def default_worker_container_cls() -> type[CeleryWorkerContainer]:
    return LinkingWorker


@pytest.fixture
def default_worker_env(
    celery_worker_cluster_config: dict[str, Any], postgres: Container, transactional_db: None
) -> dict[str, str]:
    env: dict[str, str] = LinkingWorker.initial_env(celery_worker_cluster_config)
    return env | {
        "DATABASE_URL": f"postgresql://linking:for-tests@{postgres.attrs['Config']['Hostname']}/test_linking",
        "SECRET_KEY": "only-for-tests",
        "LINKING_STALL_AFTER": str(STALL_AFTER),
    }


def _worker() -> Any:
    return container(
        image="{celery_base_worker_image.id}",
        environment=fxtr("default_worker_env"),
        network="{default_pytest_celery_network.name}",
        wrapper_class=LinkingWorker,
        timeout=60,
        **HARDENED,
    )


default_worker_container = _worker()
second_worker_container = _worker()


@pytest.fixture
def celery_worker_cluster(celery_worker: CeleryTestWorker) -> CeleryWorkerCluster:
    """One worker; tests start the second one by its fixture."""
    return CeleryWorkerCluster(celery_worker)


@pytest.fixture
def celery_backend_cluster() -> None:
    """No backend: results are in the database."""
