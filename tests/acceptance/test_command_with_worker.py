"""``manage.py link_program_enrollments`` in a process of its own, with a worker."""

import csv
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest

from devservers import WorkerProcess
from tests.support.ids import PROGRAM
from tests.support.inbox_files import read_csv
from tests.support.populations import add_learners_of_every_kind
from tests.support.programs import Command, manage
from tests.support.rows import enroll, make_user
from tests.support.service import Service
from tests.support.stored import user_of
from tests.support.waiting import wait_until
from tests.support.worlds import snapshot
from worker.models import LinkingJob


@pytest.fixture
def command(service: Service, worker_env: dict[str, str]) -> Command:
    assert service
    return partial(manage, "link_program_enrollments", str(PROGRAM), env=worker_env)


def test_it_waits_for_the_worker_and_succeeds_when_all_are_linked(command: Command) -> None:
    make_user("ada")
    enrollment = enroll("s-1", make_user("bob"))

    process = command("s-1:ada")

    assert (process.returncode, process.stderr) == (0, "")
    assert user_of(enrollment) == "ada"
    job = LinkingJob.objects.get()
    assert f"Job {job.pk}: done in " in process.stdout
    assert re.search(r"relinked +│ +1 ", process.stdout)
    assert re.search(r"done .* 1/1 ", process.stdout)  # The progress bar's last state.


def test_a_file_with_failures_ends_with_status_3_and_a_full_report(command: Command, tmp_path: Path) -> None:
    mapping = add_learners_of_every_kind(70)
    path, report = tmp_path / "mapping.csv", tmp_path / "report.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows(
            [("lms_username", "external_user_key"), *((name, key) for key, name in mapping.items())]
        )

    process = command("--file", path, "--report", report)

    assert (process.returncode, process.stderr) == (3, "")
    assert "… and 20 more: manage.py linking_jobs report " in process.stdout
    rows = read_csv(report)
    assert {row["external_user_key"]: row["lms_username"] for row in rows} == mapping
    assert [row["position"] for row in rows] == [str(n) for n in range(1, 71)]
    assert {row["outcome"] for row in rows} == LinkingJob.objects.get().counts.keys()


def test_without_waiting_it_prints_the_id_of_the_job(command: Command) -> None:
    make_user("ada")
    enrollment = enroll("s-1")

    process = command("s-1:ada", "--no-wait")

    assert (process.returncode, process.stderr) == (0, "")
    job_id = UUID(process.stdout.strip())
    wait_until(LinkingJob.objects.filter(pk=job_id, state="done").exists, "the job is done")
    assert user_of(enrollment) == "ada"


def test_a_refused_job_ends_with_status_1_and_the_reason(command: Command) -> None:
    enrollment = enroll("s-1", make_user("bob"))
    make_user("ada")

    process = command("s-1:ada", "--max-relinks", "0%")

    assert process.returncode == 1
    assert process.stderr.startswith(
        "CommandError: 1 of 1 program enrollments would change hands, max_relinks=0% allows 0: nothing was written."
    )
    assert user_of(enrollment) == "bob"


def test_a_dry_run_says_so_and_changes_nothing(command: Command) -> None:
    make_user("ada")
    enroll("s-1")
    before = snapshot()

    process = command("s-1:ada", "--dry-run")

    assert process.returncode == 0
    assert "(dry run: nothing was changed)" in process.stdout
    assert snapshot() == before


def test_a_refusal_of_the_worker_is_shown(
    start_worker: Callable[..., WorkerProcess], isolated_env: dict[str, str]
) -> None:
    start_worker(isolated_env | {"LINKING_MAX_MAPPING": "1"}, concurrency=1)

    process = manage("link_program_enrollments", str(PROGRAM), "s-1:ada", "s-2:bob", env=isolated_env)

    assert process.returncode == 1
    assert process.stderr.startswith(
        "CommandError: external_keys_to_usernames has 2 entries, more than LINKING_MAX_MAPPING (1): "
    )
    assert not LinkingJob.objects.exists()


def test_a_message_larger_than_a_worker_accepts_is_not_sent(isolated_env: dict[str, str]) -> None:
    env = isolated_env | {"LINKING_MAX_REQUEST_BYTES": "200"}

    process = manage("link_program_enrollments", str(PROGRAM), *(f"s-{n}:ada" for n in range(20)), env=env)

    assert process.returncode == 1
    assert re.match(
        r"CommandError: the message has \d+ bytes, more than LINKING_MAX_REQUEST_BYTES \(200\): ", process.stderr
    )
