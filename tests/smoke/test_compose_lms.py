"""docker-compose.lms.yml, unchanged, beside the MySQL and the Redis of an LMS."""

import json
import re
import shutil
import textwrap
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, ProxyHandler, build_opener

import docker
import pytest
from docker.models.containers import Container

from tests.smoke.conftest import ROOT
from tests.smoke.stack import Stack, write_program
from tests.support.lms.database import SCHEMA, TABLES
from tests.support.pages import section
from tests.support.waiting import wait_until

PASSWORD = "databasesecret"
SETTINGS = {
    "SECRET_KEY": "only-for-tests",
    "DATABASE_URL": f"mysql://openedx:{PASSWORD}@mysql:3306/openedx",
    "CELERY_BROKER_URL": "redis://redis:6379/2",
    "FLOWER_BASIC_AUTH": "watcher:flowersecret",
}
PROGRAM = "3e5b7f9c2d414a8e9c067b1f5d8e2a34"
"""The program of the example in docs/lms.md, as the database has it."""
POPULATE = f"""
SET sql_mode = '';
INSERT INTO auth_user (username, email, is_active)
    VALUES ('anna', 'anna@example.org', 1), ('bob', 'bob@example.org', 1);
INSERT INTO course_overviews_courseoverview (id, org) VALUES ('course-v1:Uni+C1+2026', 'Uni');
INSERT INTO program_enrollments_programenrollment
    (external_user_key, program_uuid, curriculum_uuid, status, created, modified)
    VALUES ('s-1', '{PROGRAM}', '{PROGRAM}', 'enrolled', NOW(6), NOW(6)),
           ('s-2', '{PROGRAM}', '{PROGRAM}', 'enrolled', NOW(6), NOW(6));
INSERT INTO program_enrollments_programcourseenrollment (program_enrollment_id, course_key, status, created, modified)
    SELECT id, 'course-v1:Uni+C1+2026', 'active', NOW(6), NOW(6) FROM program_enrollments_programenrollment;
"""  # noqa: S608 - our own program
ADMINISTRATOR = """
SET sql_mode = '';
INSERT INTO auth_user (username, email, password, is_active, is_staff, is_superuser)
    VALUES ('admin', 'admin@example.org', '{}', 1, 1, 1);
"""
CHANGES = """
SELECT 'program enrollment', history_type, history_change_reason FROM program_enrollments_historicalprogramenrollment
UNION ALL SELECT ce.mode, history.history_type, history.history_change_reason
FROM student_courseenrollment ce JOIN student_courseenrollment_history history ON history.id = ce.id AND ce.is_active
"""


class LMS:
    """The database, the broker and the network of an LMS."""

    def __init__(self, client: docker.DockerClient, project: str) -> None:
        self._network = client.networks.create(f"{project}-lms")
        self.network: str = self._network.name
        environment = {"MYSQL_ROOT_PASSWORD": PASSWORD, "MYSQL_DATABASE": "openedx"}
        environment |= {"MYSQL_USER": "openedx", "MYSQL_PASSWORD": PASSWORD}
        schema = {str(SCHEMA): {"bind": "/docker-entrypoint-initdb.d/schema.sql", "mode": "ro"}}
        command = ["--character-set-server=utf8mb4", "--collation-server=utf8mb4_unicode_ci", "--skip-log-bin"]
        memory = {"tmpfs": {"/var/lib/mysql": "uid=999,gid=999,mode=700"}}
        self._database = self._run(
            client, "mysql", "mysql:9", command, environment=environment, volumes=schema, **memory
        )
        self._broker = self._run(client, "redis", "redis:7-bookworm", [])

    def _run(self, client: docker.DockerClient, name: str, image: str, command: list[str], **options: Any) -> Container:
        container: Container = client.containers.create(image, command, **options)
        self._network.connect(container, aliases=[name])
        container.start()
        return container

    def sql(self, statements: str) -> list[list[str]]:
        """Run statements; return the rows of the last one."""
        call = ["mysql", "--user=root", f"--password={PASSWORD}", "--host=127.0.0.1", "--batch", "-N", "openedx", "-e"]
        status, (output, errors) = self._database.exec_run([*call, statements], demux=True)
        assert status == 0, errors
        return [line.split("\t") for line in (output or b"").decode().splitlines()]

    def is_ready(self) -> bool:
        """Return whether the database accepts connections from the network."""
        return bool(self._database.exec_run(["mysqladmin", "-uroot", f"-p{PASSWORD}", "-h127.0.0.1", "ping"])[0] == 0)

    def write_tutor(self, folder: Path) -> None:
        """Write a program `tutor` that knows the values and runs commands in the containers of this LMS."""
        write_program(
            folder / "tutor",
            f"""
            case "$1 $2 $3" in
            "config printvalue OPENEDX_MYSQL_USERNAME") echo openedx ;;
            "config printvalue OPENEDX_MYSQL_PASSWORD") echo {PASSWORD} ;;
            "local exec -T") [ "$4" = redis ] && shift 4 && exec docker exec -i {self._broker.id} "$@" ;;
            *) echo "unknown: $*" >&2; exit 2 ;;
            esac
            """,
        )

    def keys(self, number: int) -> set[str]:
        """Return the keys in a database of the broker."""
        return set(self._broker.exec_run(["redis-cli", "-n", str(number), "keys", "*"])[1].decode().split())

    def cache(self, key: str) -> None:
        """Write a key into the cache."""
        assert self._broker.exec_run(["redis-cli", "-n", "1", "set", key, "1"])[0] == 0

    def close(self) -> None:
        for container in (self._database, self._broker):
            container.remove(force=True, v=True)
        self._network.remove()


class Pages:
    """The pages, for an administrator of the LMS who has signed in."""

    def __init__(self, stack: Stack, username: str) -> None:
        address = stack.compose("port", "linking-web", "8000").stdout.strip()
        self._url = f"http://{address}/admin"
        self._opener = build_opener(ProxyHandler({}), HTTPCookieProcessor())
        (token,) = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get("/login/"))
        form = {"username": username, "password": PASSWORD, "csrfmiddlewaretoken": token, "next": "/admin/"}
        with self._opener.open(f"{self._url}/login/", urlencode(form).encode(), timeout=30) as response:
            assert response.url == f"{self._url}/"  # And not the form again.

    def get(self, path: str) -> str:
        """Return the text of a page."""
        with self._opener.open(self._url + path, timeout=30) as response:
            text: str = response.read().decode()
            return text


@pytest.fixture(scope="module")
def lms(docker_client: docker.DockerClient) -> Iterator[LMS]:
    lms = LMS(docker_client, f"linking-smoke-{uuid.uuid4().hex[:8]}")
    try:
        wait_until(lms.is_ready, "the LMS's database is up", timeout=60)
        lms.sql("ALTER DATABASE openedx COLLATE utf8mb4_unicode_ci")  # As Tutor's server would create it.
        lms.sql(POPULATE)
        yield lms
    finally:
        lms.close()


@pytest.fixture(scope="module")
def stack(docker_client: docker.DockerClient, lms: LMS, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The services of our file, started by the commands of docs/lms.md, with a `tutor` that knows this LMS."""
    folder = tmp_path_factory.mktemp("linking")
    shutil.copy(ROOT / "docker-compose.lms.yml", folder)
    stack = Stack(docker_client, {"LMS_NETWORK": lms.network}, str(folder / "docker-compose.lms.yml"), "linking-")
    for name in SETTINGS:
        stack.env.pop(name, None)  # The documented `.env` sets them.
    lms.write_tutor(folder / "bin")
    stack.write_docker(folder / "bin")
    try:
        docker_client.images.build(path=str(ROOT), tag=stack.image, rm=True, forcerm=True)
        for block in documented("From an LMS to the first dry run"):
            stack.bash(block)
        stack.env |= dict(line.split("=", 1) for line in (folder / ".env").read_text().splitlines())
        yield stack
    finally:
        stack.down()


def documented(heading: str) -> list[str]:
    """Return the commands of a section of docs/lms.md."""
    found = re.findall(r"^( *)```sh\n(.*?)^ *```$", section("lms.md", heading), re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for _, block in found]


@pytest.mark.parametrize("name", SETTINGS)
def test_without_an_address_or_a_secret_nothing_starts(name: str, docker_client: docker.DockerClient) -> None:
    shown = Stack(docker_client, SETTINGS | {name: ""}, "docker-compose.lms.yml").compose("config", check=False)

    assert shown.returncode != 0
    assert name in shown.stderr


def test_the_steps_of_the_documentation_end_with_a_dry_run_on_the_page(lms: LMS, stack: Stack) -> None:
    ((job, options, counts),) = lms.sql("SELECT id, options, counts FROM worker_linkingjob")
    assert json.loads(options)["dry_run"] is True
    assert json.loads(counts) == {"linked": 2}
    assert lms.sql("SELECT COUNT(*) FROM program_enrollments_programenrollment WHERE user_id IS NOT NULL") == [["0"]]
    hashed = stack.shell(f"from django.contrib.auth.hashers import make_password; print(make_password('{PASSWORD}'))")
    lms.sql(ADMINISTRATOR.format(hashed))

    pages = Pages(stack, "admin")

    assert str(uuid.UUID(job)) in pages.get("/worker/linkingjob/")
    assert "dry run" in pages.get(f"/worker/linkingjob/{uuid.UUID(job)}/change/").lower()


def test_a_job_by_message_links_the_rows_of_the_lms_with_their_history(
    lms: LMS, stack: Stack, service_image: str
) -> None:
    answer = stack.client.containers.run(
        service_image,
        [json.dumps([PROGRAM, {"s-1": "anna", "s-3": "nobody"}])],
        environment={"BROKER": SETTINGS["CELERY_BROKER_URL"]},
        network=lms.network,
        remove=True,
    )

    assert json.loads(answer) == {"s-3": "No user found with username nobody"}
    ((job,),) = lms.sql("SELECT id FROM worker_linkingjob WHERE JSON_EXTRACT(options, '$.dry_run') = false")
    assert {(what, kind) for what, kind, _ in lms.sql(CHANGES)} == {("program enrollment", "~"), ("masters", "+")}
    assert {reason.replace("-", "") for *_, reason in lms.sql(CHANGES)} == {f"programlinking job {job}"}


def test_the_pages_answer_and_flower_shows_the_worker(stack: Stack) -> None:
    assert stack.get("linking-web", 8000, "/healthz") == (200, '{"process": "ok"}')
    assert stack.get("linking-web", 8000, "/readyz") == (200, '{"database": "ok", "broker": "ok"}')
    assert stack.get("linking-web", 8000, "/admin/login/")[0] == 200
    wait_until(lambda: len(stack.workers()) == 1, "Flower sees the worker")


def test_the_documented_command_deletes_the_cache_keys_of_enrollments_and_no_others(lms: LMS, stack: Stack) -> None:
    stale = ("default:1:enrollment_status_hash_anna", "default:1:enrollment.1.course-v1:Uni+C1+2026.mode")
    for key in (*stale, "general:1:other"):
        lms.cache(key)
    assert lms.keys(1) == {*stale, "general:1:other"}

    (command,) = documented("Without the plug-in")
    stack.bash(command)

    assert lms.keys(1) == {"general:1:other"}


def test_the_lms_keeps_its_tables_and_its_part_of_the_broker(lms: LMS, stack: Stack) -> None:
    assert stack.containers("linking-migrate")[0].attrs["State"]["ExitCode"] == 0

    tables = {name for (name,) in lms.sql("SHOW TABLES")}
    assert {
        name for name in tables - set(TABLES) if not name.startswith(("worker_", "linking_", "api_tokens_"))
    } == set()
    assert lms.keys(0) == set()
    assert lms.keys(2) != set()


def test_all_become_healthy(stack: Stack) -> None:
    def is_healthy() -> bool:
        return set(stack.health().values()) == {"healthy", "exited"}  # The migration has ended.

    wait_until(is_healthy, "all are healthy", timeout=120)


def test_a_redis_of_our_own_is_started_only_when_asked_for(stack: Stack) -> None:
    def services() -> set[str]:
        return {container.labels["com.docker.compose.service"] for container in stack.containers()}

    ours = {"linking-migrate", "linking-worker", "linking-beat", "linking-web", "linking-flower"}
    assert services() == ours

    stack.compose("--profile", "redis", "up", "-d", "--no-recreate", "linking-redis")

    assert services() == ours | {"linking-redis"}
    wait_until(lambda: stack.run("linking-redis", "redis-cli ping")[1].strip() == "PONG", "our Redis is up")
