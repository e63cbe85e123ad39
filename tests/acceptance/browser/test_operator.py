"""The work of an operator in a real browser: upload, preview, run, watch, search, download, undo, cancel, retry."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from devservers import WebServer
from linking.models import ProgramEnrollment
from tests.support.browser import Person
from tests.support.ids import PROGRAM
from tests.support.inbox_files import outcomes_in
from tests.support.jobs import run_job, submit
from tests.support.locks import TakeLock
from tests.support.populations import add_learners
from tests.support.rows import enroll, make_user
from tests.support.stored import user_of
from tests.support.visitors import RUN, UNDO, VIEW
from tests.support.waiting import wait_until
from worker.models import LinkingJob

LogIn = Callable[..., Person]


def write_mapping(path: Path, mapping: dict[str, str]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([("external_user_key", "lms_username"), *mapping.items()])
    return path


@pytest.mark.usefixtures("celery_worker_process")
def test_from_upload_to_undo(web: WebServer, person: LogIn, lock: TakeLock, tmp_path: Path, downloads: Path) -> None:
    mapping = add_learners(38)
    given = enroll("given", make_user("former"))
    make_user("taker")
    mapping |= {"given": "taker", "lost": "nobody"}
    operator = person(web, VIEW, RUN, UNDO)

    # The upload opens a preview, which changes nothing.
    operator.uploads(write_mapping(tmp_path / "roster.csv", mapping), str(PROGRAM))
    operator.sees("dry run: nothing is changed", "would link 39 learners; 1 enrollment would change hands (2.5%)")
    assert operator.chart() == "38 linked, 1 relinked, 1 no user"
    assert "Run it" in operator.buttons
    assert not ProgramEnrollment.objects.filter(user__username="u-1").exists()

    # A lock on one learner keeps the slice running; its page is refreshed without a click.
    held = lock("SELECT id FROM program_enrollments_programenrollment WHERE external_user_key = 's-7' FOR UPDATE")
    operator.clicks("Run it")
    operator.sees("39 of 40 learners would be linked", "1 enrollment would change hands")
    operator.clicks("Yes, run it")
    operator.sees("running", "0 of 40 learners", "40 pending")
    assert operator.buttons == {"Cancel", "Pause", "Download report (CSV)"}
    held.release()
    operator.sees("done", "40 of 40 learners in")
    assert operator.chart() == "38 linked, 1 relinked, 1 no user"
    assert user_of(given) == "taker"

    # A learner is found by the beginning of a key, and no address contains the searched text.
    operator.type("text", "giv")
    operator.clicks("Find")
    operator.sees("show all")
    assert [row[1:4] for row in operator.rows()] == [["given", "taker", "relinked"]]
    assert "giv" not in operator.address
    assert "giv" not in web.log.read_text()

    # The report has them all.
    job = LinkingJob.objects.exclude(options__dry_run=True).get()
    operator.opens(job)
    operator.clicks("Download report (CSV)")
    report = downloads / f"linking-{job.pk}.csv"
    wait_until(report.exists, "the report is downloaded")
    assert dict(outcomes_in(report)) == dict.fromkeys(mapping, "linked") | {"given": "relinked", "lost": "no_user"}

    # Undo restores the rows.
    operator.clicks("Undo")
    operator.sees("changed 39 of 40 learners")
    operator.clicks("Yes, undo")
    operator.sees("done", "39 of 39 learners in")
    assert operator.chart() == "39 undone"
    assert user_of(given) == "former"
    operator.opens_jobs()
    assert [row[0] for row in operator.rows()] == ["undo", "link", "dry run"]


def test_a_viewer_is_offered_no_action(web: WebServer, person: LogIn) -> None:
    job = submit({"s-1": "u-1"})
    viewer = person(web, VIEW)

    viewer.opens_jobs()
    assert "UPLOAD A MAPPING" not in viewer.text
    viewer.opens(job)
    viewer.sees("received")
    assert viewer.buttons == {"Download report (CSV)"}


@pytest.mark.usefixtures("redis_without_worker")
def test_a_job_without_a_worker_is_cancelled(web: WebServer, person: LogIn, tmp_path: Path) -> None:
    mapping = add_learners(5)
    operator = person(web, VIEW, RUN)

    operator.uploads(write_mapping(tmp_path / "roster.csv", mapping), str(PROGRAM))
    operator.sees("running", "0 of 5 learners")
    operator.clicks("Cancel")
    operator.sees("5 of 5 learners are still open")
    operator.clicks("Yes, cancel")
    operator.sees("cancelled", "5 of 5 learners")
    assert operator.chart() == "5 cancelled"


@pytest.mark.usefixtures("celery_worker_process")
def test_failed_learners_are_retried(web: WebServer, person: LogIn) -> None:
    enrollment = enroll("s-1")
    job = run_job({"s-1": "late", "s-2": "u-2"})
    make_user("late")
    operator = person(web, VIEW, RUN)

    operator.opens(job)
    assert operator.chart() == "2 no user"
    operator.clicks("Retry failed")
    operator.sees("2 of 2 learners failed")
    operator.clicks("Yes, retry failed")
    operator.sees("done", "2 of 2 learners in")

    assert operator.chart() == "1 linked, 1 no user"
    assert user_of(enrollment) == "late"
