"""Decisions of an operator in a real browser: what a dry run would take from whom, a refused job, a faulty file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from devservers import WebServer
from tests.support.browser import Person
from tests.support.ids import ALGEBRA, PROGRAM
from tests.support.jobs import run_job
from tests.support.rows import add_course_run, enroll, enroll_in_course, make_course, make_role, make_user
from tests.support.stored import user_of
from tests.support.visitors import HEADER, RUN, UNDO, VIEW
from worker.models import ProgramName

LogIn = Callable[..., Person]


@pytest.mark.usefixtures("celery_worker_process")
def test_a_refused_run_is_decided_by_its_dry_run_and_run_again(web: WebServer, person: LogIn, tmp_path: Path) -> None:
    make_course()
    bob = make_user("bob")
    make_role(bob)
    taken = enroll("taken", bob)
    add_course_run(taken, ALGEBRA, enroll_in_course(bob))
    enroll("other", make_user("grace"))
    enroll("wanted")
    make_user("ada")
    ProgramName.objects.create(program_uuid=PROGRAM, name="Data Science MSc")
    operator = person(web, VIEW, RUN, UNDO)

    # A faulty file: the program stays in the form, the file must be chosen again.
    file = tmp_path / "roster.csv"
    file.write_text(f"{HEADER}taken,\n")
    operator.uploads(file, "Data Science MSc")
    operator.sees("lms_username is missing", "Choose the file again (it was roster.csv)")
    assert operator.value_of("program_uuid") == "Data Science MSc"
    file.write_text(f"{HEADER}taken,ada\nwanted,grace\n")
    operator.chooses(file)
    operator.clicks("Dry run")

    # The dry run says from whom, which roles stay behind, and why a learner fails.
    operator.sees("would be taken from bob", f"stay with it: staff on {ALGEBRA}", "1 would fail", "Data Science MSc")
    operator.sees("grace already holds another enrollment of this curriculum", "IntegrityError: ")
    operator.clicks("1 enrollment would change hands")
    operator.sees("Learners of roster.csv")
    assert [row[1] for row in operator.rows()] == ["taken"]
    operator.selects("outcome", "all failures")
    operator.clicks("Find")
    operator.sees("show all")
    assert [row[1] for row in operator.rows()] == ["wanted"]

    # A bad limit is kept in its form; a limit that is too low refuses the run.
    operator.goes_back(2)
    operator.clicks("Run it")
    operator.type("max_relinks", "none")
    operator.clicks("Yes, run it")
    operator.sees("Give a whole number such as 12, or a percentage")
    assert operator.value_of("max_relinks") == "none"
    operator.type("max_relinks", "5%")
    operator.clicks("Yes, run it")
    operator.sees("refused", "1 of 2 enrollments would change hands, but the limit of 5% allows 0.", "at least 1")
    assert user_of(taken) == "bob"
    operator.clicks("Run with a higher limit")
    operator.sees("1 of 2 enrollments would change hands now.")
    assert operator.value_of("max_relinks") == "1"
    operator.clicks("Yes, run with a higher limit")
    operator.sees("done", "1 failure", "taken from bob")
    assert user_of(taken) == "ada"


@pytest.mark.usefixtures("celery_worker_process")
def test_a_job_that_was_undone_says_so_where_it_is_looked_for(web: WebServer, person: LogIn) -> None:
    enrollment = enroll("s-1")
    make_user("u-1")
    job = run_job({"s-1": "u-1"})
    operator = person(web, VIEW, UNDO)

    operator.opens(job)
    operator.clicks("Undo")
    operator.clicks("Yes, undo")
    operator.sees("done", "1 undone")
    operator.opens(job)
    operator.sees("undid 1 of 1 learners", "undone")
    operator.opens_jobs()
    operator.sees("undone")

    assert user_of(enrollment) is None
