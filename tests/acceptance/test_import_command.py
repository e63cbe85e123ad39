"""``manage.py import_links`` in a process of its own, with a worker."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.ids import OTHER_PROGRAM, PROGRAM
from tests.support.inbox_files import HEADER, files_in, imported, outcomes_in, rejected, write_file
from tests.support.malformed import MALFORMED
from tests.support.populations import add_learners
from tests.support.programs import Command, manage
from tests.support.rows import enroll, make_user
from tests.support.service import Service
from tests.support.stored import user_of
from worker.models import InboxFile, LinkingJob


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def command(service: Service, worker_env: dict[str, str], inbox: Path) -> Iterator[Command]:
    yield partial(manage, "import_links", env=worker_env | {"LINKING_INBOX": str(inbox)})
    service.broker.wait_until_quiet()


def test_the_inbox_is_imported_and_its_files_are_moved(command: Command, inbox: Path) -> None:
    write_file(inbox / "x.csv", add_learners(3) | {"s-x": "nobody"})
    MALFORMED["bad-uuid.csv"].write(inbox / "bad.csv")

    process = command()

    assert process.returncode == 1
    assert "bad.csv: 1 fault, the first in line 7" in process.stderr
    assert "bad.csv lies in the inbox's rejected/ as bad.csv." in process.stdout
    assert "x.csv lies in the inbox's done/ as x.csv, with its report." in process.stdout
    assert files_in(inbox) == imported("x.csv") | rejected("bad.csv")
    assert LinkingJob.objects.get().counts == {"linked": 3, "no_user": 1}


def test_files_from_elsewhere_stay_and_share_one_report(command: Command, tmp_path: Path, inbox: Path) -> None:
    one, other = write_file(tmp_path / "1.csv", add_learners(2)), write_file(tmp_path / "2.csv", {"s-x": "nobody"})
    report = tmp_path / "report.csv"

    process = command(one, other, "--report", report)

    assert (process.returncode, process.stderr) == (3, "")
    assert one.exists()
    assert other.exists()
    assert list(inbox.iterdir()) == []
    assert [outcome for _, outcome in outcomes_in(report)] == ["linked", "linked", "no_user"]


def test_the_faults_of_a_file_are_shown_and_other_files_imported(command: Command, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text(f"{HEADER}no-program,s-1,ada\n{PROGRAM},,ada\n")
    good = write_file(tmp_path / "good.csv", add_learners(1))

    process = command(bad, good)

    assert process.returncode == 1
    assert f"{bad}, line 2: program_uuid is 'no-program', which is no UUID." in process.stderr
    assert f"{bad}, line 3: external_user_key is missing" in process.stderr
    assert LinkingJob.objects.get().counts == {"linked": 1}


def test_a_dry_run_shows_outcomes_and_moves_nothing(command: Command, inbox: Path, tmp_path: Path) -> None:
    make_user("ada")
    enrollment = enroll("s-1")
    path = write_file(inbox / "x.csv", {"s-1": "ada"})

    process = command("--dry-run")

    assert (process.returncode, process.stderr) == (0, "")
    assert "(dry run: nothing was changed)" in process.stdout
    assert user_of(enrollment) is None
    assert path.exists()
    assert not InboxFile.objects.exists()
    assert command(path).returncode == 0  # It does not count as imported.
    assert user_of(enrollment) == "ada"


def test_the_same_content_is_imported_again_only_if_forced(command: Command, tmp_path: Path) -> None:
    path = write_file(tmp_path / "x.csv", add_learners(1))
    assert command(path).returncode == 0

    again, forced = command(path), command(path, "--force")

    assert again.returncode == 1
    assert f"{path}: the same content was imported as x.csv on " in again.stderr
    assert (forced.returncode, forced.stderr) == (0, "")
    assert sorted(str(job.counts) for job in LinkingJob.objects.all()) == ["{'already_linked': 1}", "{'linked': 1}"]


def test_a_file_with_too_many_relinks_is_refused_unless_the_limit_is_raised(command: Command, tmp_path: Path) -> None:
    make_user("ada")
    enrollment = enroll("s-1", make_user("bob"))
    path = write_file(tmp_path / "x.csv", {"s-1": "ada"})

    refused = command(path)

    assert refused.returncode == 1
    assert "1 of 1 program enrollments would change hands, max_relinks=5% allows 0" in refused.stderr
    assert LinkingJob.objects.get().state == "refused"
    assert command(path, "--max-relinks", "1").returncode == 0
    assert user_of(enrollment) == "ada"


def test_of_two_programs_the_refused_one_is_reported(command: Command, tmp_path: Path) -> None:
    make_user("ada")
    enroll("s-1", make_user("bob"), program_uuid=OTHER_PROGRAM)
    path = write_file(tmp_path / "x.csv", add_learners(1), {"s-1": "ada"})

    process = command(path)

    assert process.returncode == 1
    assert f"x.csv: program {OTHER_PROGRAM}: 1 of 1 program enrollments would change hands" in process.stderr
    assert sorted(LinkingJob.objects.values_list("state", flat=True)) == ["done", "refused"]


def test_without_waiting_it_prints_the_jobs(command: Command, service: Service, tmp_path: Path) -> None:
    path = write_file(tmp_path / "x.csv", add_learners(2))

    process = command(path, "--no-wait")
    service.broker.wait_until_quiet()

    job = LinkingJob.objects.get()
    assert (process.returncode, process.stdout) == (0, f"x.csv: 1 job: {job.pk}\n")
    assert job.counts == {"linked": 2}
