"""Forgetting a person: no table of ours and no file names them, and everything about others stays."""

import json
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from celery import states
from django.core.management import CommandError, call_command
from django.db import connection
from django_celery_results.models import TaskResult

from linking.models import ProgramEnrollment
from tests.support.inbox import drop, report_of, run_import
from tests.support.inbox_files import files_in, write_file
from tests.support.jobs import outcomes, run, run_job, submit, undo
from tests.support.populations import add_learners, add_learners_of_every_kind
from tests.support.rows import enroll, make_user
from tests.support.stored import user_of
from worker import jobs
from worker.celery.application import app
from worker.exceptions import JobError
from worker.imports.submission import import_in_place
from worker.jobs import forgetting
from worker.jobs.derived import preview_request, retry_request
from worker.jobs.forgetting import FORGOTTEN_MESSAGE, Forgotten
from worker.jobs.person import Person
from worker.models import ImportedRow, LearnerOutcome, LinkingJob

pytestmark = pytest.mark.django_db(transaction=True)

OURS = ("worker_", "linking_", "api_tokens_", "django_celery_results_")
KEY, USERNAME = "Zoë-42", "zoe.doe@x"


def forget(*names: str) -> Forgotten:
    return forgetting.forget(Person(*names))


def dump() -> str:
    """Return all rows of our tables: of the ledger, the results, the digests of files, the events, the tokens."""
    with connection.cursor() as cursor:
        ours = [name for name in connection.introspection.table_names(cursor) if name.startswith(OURS)]
        assert {"worker_learneroutcome", TaskResult._meta.db_table} <= {*ours}  # noqa: SLF001 - the public way
        rows = []
        for name in ours:
            cursor.execute(f"SELECT * FROM {name}")  # noqa: S608 - a table of ours
            rows.append([[_text(value) for value in row] for row in cursor.fetchall()])
    return json.dumps(rows, default=str, ensure_ascii=False)


def _text(value: object) -> object:
    return bytes(value).decode(errors="replace") if isinstance(value, bytes | memoryview) else value


def is_named(text: str) -> bool:
    """Return whether a text names the person of these tests, also as JSON writes it."""
    folded = text.casefold()
    return any(name.casefold() in folded for name in (KEY, KEY.encode("ascii", "backslashreplace").decode(), USERNAME))


def add_person(*, linked_to_other: bool = False) -> ProgramEnrollment:
    make_user(USERNAME)
    return enroll(KEY, make_user("former") if linked_to_other else None)


def store_result(task_id: Any, result: Any, status: str) -> None:
    app.backend.store_result(str(task_id), result, status)


def test_a_person_leaves_the_ledger_and_all_others_stay() -> None:
    others = add_learners_of_every_kind(12)
    add_person(linked_to_other=True)
    mapping = others | {KEY.lower(): USERNAME}
    first, dry = run_job(mapping), run_job(mapping, dry_run=True)
    kept = {job: list(job.learners.exclude(lms_username=USERNAME).values()) for job in (first, dry)}
    counts = {job: job.counts for job in (first, dry)}
    assert is_named(dump())

    assert forget(KEY, USERNAME) == Forgotten(learners=2, jobs={first.pk, dry.pk})

    assert not is_named(dump())
    for job in (first, dry):
        job.refresh_from_db()
        assert job.counts == counts[job]
        (gone,) = job.learners.filter(external_user_key="")
        assert (gone.lms_username, gone.message, gone.before) == ("", FORGOTTEN_MESSAGE, None)
        assert list(job.learners.exclude(pk=gone.pk).values()) == kept[job]
    assert forget(KEY, USERNAME) == Forgotten()


def test_undo_of_the_others_works_and_says_why_that_of_the_person_does_not() -> None:
    enrollment = add_person()
    others = add_learners(3)
    job = run_job(others | {KEY: USERNAME})
    forget(KEY, USERNAME)

    undoing = undo(job)

    assert undoing.counts == {"undone": 3, "changed_since": 1}
    left = undoing.learners.get(outcome="changed_since")
    assert left.message == "not undone: the learner was forgotten, and with it what the job changed"
    assert jobs.error_dictionary(undoing) == ({"": left.message}, False)
    assert user_of(enrollment) == USERNAME
    assert not ProgramEnrollment.objects.filter(external_user_key__in=others).exclude(user=None).exists()
    assert undo(job).counts == {"changed_since": 1}


def test_the_undo_of_a_person_that_is_forgotten_afterwards_names_nobody() -> None:
    add_person()
    job = run_job({KEY: USERNAME})
    undoing = undo(job)

    forget(USERNAME)

    assert not is_named(dump())
    assert outcomes(undoing) == {"": "undone"}


def test_a_retry_and_a_preview_leave_the_person_out() -> None:
    job = run_job({KEY: "nobody", "s-x": "nobody"})
    forget(KEY)

    for request in (retry_request(job.pk), preview_request(job.pk)):
        again = jobs.submit(uuid4(), request)
        assert again.total == 1
        assert list(run(again)) == ["s-x"]
    forget("s-x")
    with pytest.raises(JobError, match=f"all these learners of job {job.pk} were forgotten"):
        retry_request(job.pk)


def test_texts_about_others_and_what_the_caller_wrote_lose_the_name() -> None:
    job = run_job(add_learners(1), idempotency_key=f"login of {USERNAME}")
    LearnerOutcome.objects.filter(job=job).update(
        message=f"relinked to {USERNAME} since", warnings=[f"held by {USERNAME}"]
    )
    LinkingJob.objects.filter(pk=job.pk).update(
        reply={"callbacks": [{"args": [USERNAME]}]}, source=f"{USERNAME} alone.csv"
    )

    assert forget(USERNAME) == Forgotten(mentions=1, jobs={job.pk})

    assert not is_named(dump())
    learner = job.learners.get()
    assert (learner.message, learner.warnings) == ("relinked to (forgotten) since", ["held by (forgotten)"])
    assert learner.external_user_key == "s-0"
    job.refresh_from_db()
    assert (job.idempotency_key, job.source, job.reply) == (None, "(forgotten) alone.csv", {})


def test_stored_results_lose_the_person_and_keep_the_others() -> None:
    job = run_job({KEY: "nobody", "s-x": "nobody either"})
    errors, _ = jobs.error_dictionary(job)
    store_result(job.pk, errors, states.SUCCESS)
    refused = str(uuid4())
    store_result(refused, ValueError(f"{KEY!r} has no username"), states.FAILURE)
    untouched = str(uuid4())
    store_result(untouched, {"s-y": "No user found with username zoe"}, states.SUCCESS)
    before = TaskResult.objects.filter(task_id=untouched).values().get()

    assert forget(KEY).results == 2

    assert not is_named(dump())
    assert app.backend.get_result(str(job.pk)) == {"s-x": errors["s-x"]}
    assert str(app.backend.get_result(refused)) == "'(forgotten)' has no username"
    assert TaskResult.objects.filter(task_id=untouched).values().get() == before


def test_a_large_job_and_many_small_ones_are_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "LEARNERS", 4)
    make_user(USERNAME)
    large = run_job(add_learners(9) | {KEY: USERNAME})
    small = [run_job({KEY: USERNAME}) for _ in range(5)]

    assert forget(USERNAME).jobs == {large.pk, *(job.pk for job in small)}
    assert not is_named(dump())


def test_a_learner_of_an_open_job_is_left_and_the_job_named() -> None:
    add_person()
    ended = run_job({KEY: "nobody"})
    job = submit({KEY: USERNAME, "s-x": "nobody"})

    with pytest.raises(CommandError, match=f"the person is still named: job {job.pk} is open"):
        call_command("linking_jobs", "forget", KEY, USERNAME, stdout=StringIO())

    assert outcomes(ended) == {"": "no_user"}
    assert run(job).keys() == {"s-x"}
    call_command("linking_jobs", "forget", KEY, USERNAME, stdout=StringIO())
    assert not is_named(dump())


def test_files_of_the_inbox_lose_the_person(folder: Path) -> None:
    add_person()
    others = add_learners(2)
    path = drop(folder, "x.csv", others | {KEY: USERNAME})
    path.write_bytes("\ufeff".encode() + path.read_bytes().replace(b"s-0,", b'"s-0",'))
    run_import(folder)
    whole = (folder / "done" / "x.csv").read_bytes()
    (folder / "note.csv").write_text(f"broken;{KEY};{USERNAME}\nbroken;s-9;other\n", encoding="cp1252")
    run_import(folder)
    out = StringIO()

    call_command("linking_jobs", "forget", KEY, USERNAME, "--json", stdout=out)

    done = json.loads(out.getvalue())
    assert done["files"] == ["done/x.csv", "done/x.csv.report.csv", "rejected/note.csv"]
    for name in files_in(folder):
        assert not is_named((folder / name).read_bytes().decode("cp1252")), name
        assert not is_named((folder / name).read_text(errors="replace")), name
    rows = whole.splitlines(keepends=True)
    assert (folder / "done" / "x.csv").read_bytes() == b"".join(row for row in rows if USERNAME.encode() not in row)
    assert [row["external_user_key"] for row in report_of(folder, "x.csv")] == [*others]
    assert (folder / "rejected" / "note.csv").read_text() == "broken;s-9;other\n"


def test_the_digest_of_a_row_is_removed_and_those_of_others_stay(tmp_path: Path) -> None:
    add_person()
    others = add_learners(2)
    file = import_in_place(write_file(tmp_path / "x.diff.csv", others | {KEY: USERNAME}))
    run(LinkingJob.objects.get(pk=file.jobs[0]))
    assert ImportedRow.objects.count() == 3

    forget(KEY.upper())

    assert ImportedRow.objects.count() == 2
    again = import_in_place(write_file(tmp_path / "y.diff.csv", others))
    assert LinkingJob.objects.get(pk=again.jobs[0]).total == 0


def test_a_file_that_waits_for_its_import_is_named_and_a_workbook_not_searched(folder: Path) -> None:
    add_person()
    waiting = drop(folder, "tonight.csv", {KEY: USERNAME}).read_bytes()
    (folder / "done").mkdir(exist_ok=True)
    (folder / "done" / "book.csv").write_bytes(b"PK\3\4...")

    with pytest.raises(CommandError, match=r"file 'tonight\.csv' waits for its import"):
        call_command("linking_jobs", "forget", KEY, stdout=StringIO())

    assert (folder / "tonight.csv").read_bytes() == waiting
    (folder / "tonight.csv").unlink()
    out = StringIO()
    call_command("linking_jobs", "forget", KEY, stdout=out)
    assert "Not searched, since it is no text: done/book.csv" in out.getvalue()
