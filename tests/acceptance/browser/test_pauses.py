"""An operator pauses everything in a real browser, sees a job wait, and resumes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from devservers import WebServer
from tests.support.browser import Person
from tests.support.ids import PROGRAM
from tests.support.rows import enroll, make_user
from tests.support.stored import user_of
from tests.support.visitors import HEADER, RUN, VIEW


@pytest.mark.usefixtures("celery_worker_process")
def test_everything_is_paused_a_job_waits_and_ends_when_it_is_resumed(
    web: WebServer, person: Callable[..., Person], tmp_path: Path
) -> None:
    enrollment = enroll("s-1")
    make_user("ada")
    operator = person(web, VIEW, RUN)
    operator.opens_jobs()
    operator.clicks("Pause and resume")
    operator.sees("Nothing is paused.")
    operator.type("reason", "LMS upgrade")
    operator.clicks("Pause")
    operator.sees("Everything, by staff-", "LMS upgrade")

    file = tmp_path / "roster.csv"
    file.write_text(f"{HEADER}s-1,ada\n")
    operator.uploads(file, str(PROGRAM))
    operator.sees("Everything is paused by staff-", "0 of 1 learners", "1 pending", "Requests are accepted and wait.")
    operator.clicks("resume")
    operator.clicks("Resume everything")
    operator.sees("Nothing is paused.")
    operator.goes_back(2)
    operator.sees("done", "1 linked")

    operator.clicks("Run it")
    operator.clicks("Yes, run it")
    operator.sees("done", "1 linked")
    assert user_of(enrollment) == "ada"
