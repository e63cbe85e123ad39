"""``manage.py link_program_enrollments --now``: the job runs in this process; its output."""

import csv
import os
import re
from contextlib import nullcontext
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from tests.support.ids import ALGEBRA, PROGRAM
from tests.support.jobs import run as run_submitted
from tests.support.jobs import submit
from tests.support.populations import add_learners, add_learners_of_every_kind
from tests.support.programs import python
from tests.support.rows import add_course_run, enroll, make_course, make_user
from tests.support.stored import user_of
from tests.support.visitors import HEADER
from tests.support.worlds import snapshot
from worker import jobs
from worker.models import LinkingJob

CLOSED_PORT = "redis://127.0.0.1:1/0"
FORM = "must be in form <external user key>:<lms username>"
LIMIT = "expected a whole number from 0, a percentage such as '5%', or None."
NO_WAIT = "--no-wait leaves the jobs to the worker: it cannot be combined with --now or --report."


def run(*args: str, status: int = 0) -> str:
    """Run the command in this process to an exit status; return its output without the progress bar."""
    out = StringIO()
    with pytest.raises(SystemExit) if status else nullcontext() as ended:
        call_command("link_program_enrollments", str(PROGRAM), *args, "--now", stdout=out, no_color=True)
    assert ended is None or ended.value.code == status
    return out.getvalue()


def refusal(*args: str) -> str:
    """Return the message of a refused command, which wrote nothing."""
    before = snapshot()
    with pytest.raises(CommandError) as refused:
        run(*args)
    assert refused.value.returncode == 1
    assert snapshot() == before
    return str(refused.value)


def table(shown: str) -> dict[str, str]:
    """Return the numbers of the outcome table."""
    return dict(re.findall(r"^[│┃] *(\w+) +[│┃] +([\d,]+) [│┃]$", shown, re.MULTILINE))


def test_linked_learners_and_those_linked_already_end_well() -> None:
    ada = make_user("ada")
    enrollment, _ = enroll("s-1"), enroll("s-2", make_user("bob"))

    output = run("s-1:ada", "s-2:bob")

    assert user_of(enrollment) == ada.username
    assert table(output) == {"linked": "1", "already_linked": "1", "total": "2"}
    job = LinkingJob.objects.get()
    assert f"Job {job.pk}: done in " in output
    assert (job.state, job.total, job.counts) == ("done", 2, {"linked": 1, "already_linked": 1})
    assert "s-2" not in output  # No failure: it is not listed.


def test_failures_are_counted_shown_and_end_with_status_3() -> None:
    make_user("ada")
    enroll("s-1")

    shown = run("s-1:ada", "s-2:ada", "s-3:[bold]bob[/bold]", status=3)

    assert table(shown).items() >= {"linked": "1", "no_enrollment": "1", "no_user": "1", "total": "3"}.items()
    text = f"No program enrollment found for program uuid={PROGRAM} and external student key=s-2"
    assert f"  s-2: {text}\n  s-3: No user found with username [bold]bob[/bold]\n" in shown


def test_every_outcome_has_its_line_and_only_the_first_failures_are_shown(tmp_path: Path) -> None:
    mapping = add_learners_of_every_kind(1_050)
    path = tmp_path / "mapping.csv"
    path.write_text(HEADER + "".join(f"{key},{username}\n" for key, username in mapping.items()))

    shown = run("--file", str(path), status=3)

    numbers = table(shown)
    assert numbers.pop("total") == "1,050"
    assert numbers.pop("linked") == "300"
    assert numbers == dict.fromkeys(["relinked", "already_linked", "no_user", "no_enrollment", "course_error"], "150")
    assert len(re.findall(r"^  s-", shown, re.MULTILINE)) == 10
    assert shown.endswith(f"  … and 440 more: manage.py linking_jobs report {LinkingJob.objects.get().pk}\n")


def test_a_dry_run_says_so_and_changes_nothing() -> None:
    make_course(ALGEBRA)
    make_user("ada")
    add_course_run(enroll("s-1"), ALGEBRA, roles=("staff",))
    before = snapshot()

    shown = run("s-1:ada", "--dry-run")

    assert "(dry run: nothing was changed)" in shown
    assert table(shown)["linked"] == "1"
    assert snapshot() == before


def test_the_report_has_a_row_for_each_learner(tmp_path: Path) -> None:
    make_course(ALGEBRA)
    make_user("ada", is_active=False)
    add_course_run(enroll("é,1"), ALGEBRA, roles=("staff",))
    path = tmp_path / "out.csv"

    shown = run("é,1:ada", "s-2:bob", "--report", str(path), status=3)

    assert shown.endswith(f"Report: {path}\n")
    with path.open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [
            [
                "position",
                "external_user_key",
                "lms_username",
                "outcome",
                "message",
                "warnings",
                "taken_from",
                "explanation",
            ],
            ["1", "é,1", "ada", "linked", "", f"role staff on {ALGEBRA} not granted: the account is inactive", "", ""],
            ["2", "s-2", "bob", "no_user", "No user found with username bob", "", "", ""],
        ]


@pytest.mark.parametrize("allowed", ["0", "49%"])
def test_too_many_relinks_are_refused(allowed: str) -> None:
    enrollment = enroll("s-1", make_user("ada"))
    make_user("bob")

    text = refusal("s-1:bob", "s-2:bob", "--max-relinks", allowed)

    assert text.startswith(f"1 of 2 program enrollments would change hands, max_relinks={allowed} allows 0:")
    assert user_of(enrollment) == "ada"


@pytest.mark.parametrize(
    ("args", "text"),
    [
        *(
            (f"s-0:eve {item}", f"incorrectly formatted argument '{item}', {FORM}")
            for item in ("s-1", "s-1:", ":ada", ":", "s-1:ada:bob", "s-1::ada")
        ),
        ("s-1:ada s-2:bob s-1:eve", "external user key s-1 provided multiple times"),
        (
            "S-1:ada s-2:bob s-1:eve",
            "external user key s-1 provided multiple times, first as S-1: they differ only in case",
        ),
        ("", "nothing to link: give KEY:USERNAME arguments or --file."),
        ("s-1:ada --file mapping.csv", "give either KEY:USERNAME arguments or --file, not both."),
        *(
            (f"s-1:ada --max-relinks={relinks}", f"max_relinks={relinks!r}: {LIMIT}")
            for relinks in ("many", "5.5%", "101%", "-1")
        ),
        (
            "s-1:ada --report /no/such/folder/x.csv",
            "--report /no/such/folder/x.csv: there is no folder /no/such/folder.",
        ),
        ("s-1:ada --no-wait --now", NO_WAIT),
        ("s-1:ada --no-wait --report out.csv", NO_WAIT),
    ],
)
def test_bad_arguments_are_refused_as_in_open_edx(args: str, text: str) -> None:
    assert refusal(*args.split()) == text
    assert not LinkingJob.objects.exists()


@pytest.mark.parametrize(
    ("args", "text"),
    [
        *(
            (["s-0:eve", item, "s-0:ada"], f"incorrectly formatted argument '{item}', {FORM}")
            for item in (" :ada", "s-1:\t", " : ", "s-1: ada :bob")
        ),
        (["s-1:ada", " s-1 :eve", "s-2"], "external user key s-1 provided multiple times"),
    ],
)
def test_arguments_are_checked_without_the_spaces_around_key_and_username(args: list[str], text: str) -> None:
    assert refusal(*args) == text


def test_spaces_around_key_and_username_are_removed() -> None:
    enrollment, ada = enroll("s 1"), make_user("ada")

    run(" s 1 :\tada ")

    assert user_of(enrollment) == ada.username


def test_a_bad_program_uuid_is_refused() -> None:
    with pytest.raises(CommandError, match=r"^program_uuid='nonsense' is not a UUID: expected 32 hexadecimal digits"):
        call_command("link_program_enrollments", "nonsense", "s-1:ada", "--now")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, ": cannot be read: No such file or directory."),
        (f"{HEADER}s-1,\n", ", line 2: lms_username is missing: give each learner both columns."),
    ],
)
def test_a_faulty_file_is_refused_with_its_path_and_fault(tmp_path: Path, content: str | None, fault: str) -> None:
    path = tmp_path / "mapping.csv"
    if content is not None:
        path.write_text(content, encoding="utf-8")

    assert refusal("--file", str(path)) == f"{path}{fault}"


@pytest.mark.django_db(transaction=True)
def test_a_job_runs_in_this_process_although_no_broker_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", CLOSED_PORT)
    mapping = add_learners(130)

    shown = run(*(f"{key}:{username}" for key, username in mapping.items()))

    assert table(shown)["linked"] == "130"
    assert LinkingJob.objects.get().slices.count() == 1


def test_beside_an_open_job_over_the_same_learners_nothing_is_run() -> None:
    enrollment, ada = enroll("s-1"), make_user("ada")
    make_user("bob")
    job = submit({"S-1": "bob", "s-2": "nobody"})

    text = refusal("s-1:ada", "s-3:eve")

    assert text.startswith(f"--now cannot run beside open jobs over the same learners: {job.pk}. Wait for them")
    assert LinkingJob.objects.get() == job
    run("s-3:eve", "s-4:eve", status=3)  # Other learners.
    run("s-1:ada", "--dry-run")  # It changes nothing.
    run_submitted(job)
    run("s-1:ada")
    assert user_of(enrollment) == ada.username


def test_a_job_that_is_submitted_meanwhile_waits_for_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    enrollment, later = enroll("s-1"), []
    make_user("ada"), make_user("bob")
    start = jobs.start

    def submit_meanwhile(job: LinkingJob) -> None:
        monkeypatch.undo()
        start(job)
        later.append(submit({"s-1": "bob"}))
        assert jobs.must_wait(later[0])

    monkeypatch.setattr(jobs, "start", submit_meanwhile)
    run("s-1:ada")

    (job,) = later
    assert not jobs.must_wait(job)
    assert user_of(enrollment) == "ada"


def test_a_broker_that_does_not_answer_is_named_with_the_ways_out(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'unused.sqlite3'}"
    env = {"PATH": os.environ["PATH"], "DEBUG": "1", "CELERY_BROKER_URL": CLOSED_PORT, "DATABASE_URL": database}
    process = python("manage.py", "link_program_enrollments", str(PROGRAM), "s-1:ada", env=env)

    assert process.returncode == 1
    assert re.fullmatch(
        r"CommandError: the broker \(CELERY_BROKER_URL\) does not answer: .*111.*\. Start it, or use --now\.",
        process.stderr.strip(),
    )
    assert process.stdout == ""
