"""All of docker-compose.yml, unchanged: started, used by a service, inspected, scaled and stopped."""

import json
import time
import uuid
from collections.abc import Iterator

import docker
import pytest

from tests.smoke.stack import Stack
from tests.support.waiting import wait_until

SECRETS = {
    "SECRET_KEY": "only-for-tests",
    "POSTGRES_PASSWORD": "databasesecret",
    "REDIS_PASSWORD": "brokersecret",
    "FLOWER_BASIC_AUTH": "watcher:flowersecret",
}
PROGRAM = "abcdef11-1111-4111-8111-111111111111"
LEARNERS = 130

POPULATE = f"""
from django.contrib.auth.models import User
from linking.models import ProgramEnrollment
User.objects.bulk_create(User(username=f"composed-user-{{n}}") for n in range({LEARNERS}))
ProgramEnrollment.objects.bulk_create(
    ProgramEnrollment(external_user_key=f"composed-key-{{n}}", program_uuid="{PROGRAM}", curriculum_uuid="{PROGRAM}")
    for n in range({LEARNERS})
)
"""
COUNTS = "from worker.models import LinkingJob; print(*(job.counts for job in LinkingJob.objects.filter(pk='{}')))"
COUNT = "from linking.models import ProgramEnrollment; print(ProgramEnrollment.objects.exclude(user=None).count())"


@pytest.fixture(scope="module")
def stack(docker_client: docker.DockerClient) -> Iterator[Stack]:
    stack = Stack(docker_client, SECRETS | {"LINKING_RETENTION_DAYS": "30"})
    try:
        stack.compose("up", "-d")  # Builds the image too.
        yield stack
    finally:
        stack.down()


@pytest.mark.parametrize("name", SECRETS)
def test_without_a_secret_nothing_starts(name: str, docker_client: docker.DockerClient) -> None:
    shown = Stack(docker_client, SECRETS | {name: ""}).compose("config", check=False)

    assert shown.returncode != 0
    assert name in shown.stderr


def test_a_service_that_has_only_celery_gets_its_mapping_linked(stack: Stack, service_image: str) -> None:
    stack.shell(POPULATE)
    mapping = {f"composed-key-{n}": f"composed-user-{n}" for n in range(LEARNERS)} | {"composed-key-x": "nobody"}

    answer = stack.client.containers.run(
        service_image,
        [json.dumps([PROGRAM, mapping])],
        environment={"BROKER": f"redis://:{SECRETS['REDIS_PASSWORD']}@redis/0"},
        network=f"{stack.project}_broker",
        remove=True,
    )

    assert json.loads(answer) == {"composed-key-x": "No user found with username nobody"}
    assert stack.shell(COUNT) == str(LEARNERS)


def test_a_file_dropped_in_the_inbox_is_imported(stack: Stack) -> None:
    """The folder for temporary rows is on a disk: a tmpfs could not hold a million rows."""
    text = f"program_uuid,external_user_key,lms_username\\n{PROGRAM},composed-key-0,composed-user-0\\n"
    status, shown = stack.run(
        "worker", f"printf '{text}' > /inbox/night.csv && touch -d '1 minute ago' /inbox/night.csv"
    )
    assert status == 0, shown
    assert stack.run("worker", "touch /var/tmp/rows && stat -f -c %T /var/tmp")[1].strip() != "tmpfs"

    stack.shell("from worker.tasks import import_inbox; import_inbox.delay()")

    report = "/inbox/done/night.csv.report.csv"

    def done() -> bool:
        # As beat does, every 30 seconds.
        stack.shell("from worker.tasks import resume_stalled_jobs; resume_stalled_jobs.delay()")
        return stack.run("worker", f"test -e {report}")[0] == 0

    wait_until(done, "the file is done", timeout=60)
    assert "already_linked" in stack.run("worker", f"cat {report}")[1]


def test_settings_come_from_the_environment_and_otherwise_have_their_defaults(stack: Stack) -> None:
    shown = stack.shell("from django.conf import settings as s; print(s.LINKING_RETENTION_DAYS, s.LINKING_MAX_SLICE)")
    assert shown == "30 1000"


def test_flower_shows_tasks_only_with_its_password_and_names_no_learner(stack: Stack) -> None:
    assert stack.get("flower", 5555, "/api/workers")[0] == 401
    assert stack.get("flower", 5555, "/api/tasks", "watcher:wrong")[0] == 401

    wait_until(lambda: len(stack.workers()) == 1, "Flower sees the worker")
    status, tasks = stack.get("flower", 5555, "/api/tasks", SECRETS["FLOWER_BASIC_AUTH"])
    assert status == 200
    assert "linking.link_learners" in {task["name"] for task in json.loads(tasks).values()}
    assert "composed-" not in tasks


def test_the_pages_are_served_with_their_static_files(stack: Stack) -> None:
    status, page = stack.get("web", 8000, "/admin/login/")
    assert status == 200
    assert "csrfmiddlewaretoken" in page
    assert stack.get("web", 8000, "/static/admin/css/base.css")[0] == 200
    assert stack.get("web", 8000, "/healthz") == (200, '{"process": "ok"}')
    assert stack.get("web", 8000, "/readyz") == (200, '{"database": "ok", "broker": "ok"}')


def test_only_the_pages_and_flower_have_ports_and_these_on_this_machine_alone(stack: Stack) -> None:
    published = {
        (container.labels["com.docker.compose.service"], port, binding["HostIp"])
        for container in stack.containers()
        for port, bindings in (container.attrs["NetworkSettings"]["Ports"] or {}).items()
        for binding in bindings or ()
    }
    assert published == {("web", "8000/tcp", "127.0.0.1"), ("flower", "5555/tcp", "127.0.0.1")}


@pytest.mark.parametrize("service", ["worker", "beat", "web", "flower", "postgres", "redis"])
def test_everything_runs_without_privileges_read_only_and_within_limits(stack: Stack, service: str) -> None:
    assert stack.run(service, "id -u")[1].strip() != "0"
    assert stack.run(service, "touch /written || touch /usr/written")[0] != 0
    privileges = stack.run(service, "cat /proc/1/status")[1]
    assert "CapBnd:\t0000000000000000" in privileges
    assert "NoNewPrivs:\t1" in privileges
    limits = stack.containers(service)[0].attrs["HostConfig"]
    assert limits["Memory"] > 0
    assert limits["PidsLimit"] > 0


def test_the_image_has_no_compiler_no_private_servers_and_no_secret(stack: Stack) -> None:
    found = stack.run("worker", "for name in cc gcc g++ clang make; do command -v $name; done; ls /app /app/worker")[1]
    assert "/bin/" not in found
    assert "devservers" not in found
    assert set(found.split()) >= {"manage.py", "dispatch.py"}
    image = stack.client.images.get(stack.image)
    written = json.dumps([image.attrs["Config"], image.history()])
    assert not [secret for secret in SECRETS.values() if secret in written]


def test_messages_survive_a_restart_of_redis_which_needs_its_password(stack: Stack) -> None:
    task_id = str(uuid.uuid4())
    stack.compose("stop", "worker")
    send = f'("linking.link_program_enrollments", ("{PROGRAM}", {{"composed-key-0": "nobody"}}), task_id="{task_id}")'
    stack.shell(f"from worker.celery import app; app.send_task{send}")
    assert task_id in stack.run("redis", "redis-cli lrange linking 0 -1")[1]

    (redis,) = stack.containers("redis")
    redis.kill()
    redis.start()
    wait_until(lambda: stack.run("redis", "redis-cli ping")[1].strip() == "PONG", "Redis is back")

    assert task_id in stack.run("redis", "redis-cli lrange linking 0 -1")[1]
    stack.compose("start", "worker")
    wait_until(lambda: stack.shell(COUNTS.format(task_id)) == "{'no_user': 1}", "the job is done")
    assert "noeviction" in stack.run("redis", "redis-cli config get maxmemory-policy")[1].split()
    assert "NOAUTH" in stack.run("redis", "REDISCLI_AUTH= redis-cli ping")[1]


def test_there_can_be_more_workers(stack: Stack) -> None:
    stack.compose("up", "-d", "--no-recreate", "--scale", "worker=2", "worker")

    wait_until(lambda: len(stack.workers()) == 2, "Flower sees both workers")


def test_all_become_healthy(stack: Stack) -> None:
    def is_healthy() -> bool:
        return set(stack.health().values()) == {"healthy", "exited"}  # The migration has ended.

    wait_until(is_healthy, "all are healthy", timeout=120)
    assert stack.containers("migrate")[0].attrs["State"]["ExitCode"] == 0


def test_a_frozen_worker_is_not_healthy_until_it_continues(stack: Stack) -> None:
    _, check = stack.containers("worker")[0].attrs["Config"]["Healthcheck"]["Test"]
    worker = "$(cat /proc/1/task/1/children)"  # The child of the container's init.
    assert stack.run("worker", check)[0] == 0

    stack.run("worker", f"kill -STOP {worker} && touch -d '1 minute ago' $LINKING_HEARTBEAT")
    time.sleep(3)  # It would be touched every two seconds.
    assert stack.run("worker", check)[0] != 0

    stack.run("worker", f"kill -CONT {worker}")
    wait_until(lambda: stack.run("worker", check)[0] == 0, "the worker touches its file again")


def test_all_stop_cleanly(stack: Stack) -> None:
    stack.compose("stop")

    services = ("worker", "beat", "web", "flower", "postgres", "redis")
    ended = {(s, c.attrs["State"]["ExitCode"]) for s in services for c in stack.containers(s)}
    assert ended == {(service, 0) for service in services}
