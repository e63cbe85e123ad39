"""The pages of a dry run say who gives up an enrollment, which roles stay behind, and in words why a learner fails."""

import csv
from io import StringIO
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from linking.bulk import explain
from tests.support.ids import ALGEBRA
from tests.support.jobs import run, run_job, submit
from tests.support.populations import add_learners
from tests.support.rows import add_course_run, enroll, enroll_in_course, make_course, make_role, make_user
from tests.support.visitors import RUN, VIEW, page, visitor
from worker.admin.learners import find_learners
from worker.jobs.reports import write_import_report, write_report
from worker.jobs.selection import SELECTIONS
from worker.models import LinkingJob

CONFLICT = "grace already holds another enrollment of this curriculum"
LMS_CONSTRAINT = "program_enrollments_prog_user_id_program_uuid_cur_ecf769fd_uniq"
OTHER_ROW = """duplicate key value violates unique constraint "courseenrollment_unique_user_course"
DETAIL:  Key (user_id, course_id)=(7, course-v1:a+b+c) already exists."""
STAYS = f"course roles of the former account stay with it: staff on {ALGEBRA}"


@pytest.fixture
def client() -> Client:
    """A visitor who may run jobs."""
    return visitor(VIEW, RUN)


@pytest.fixture
def preview() -> LinkingJob:
    """A dry run: one enrollment changes hands and leaves a role behind, one learner conflicts, one is linked."""
    make_course()
    bob = make_user("bob")
    make_role(bob)
    add_course_run(enroll("taken", bob), ALGEBRA, enroll_in_course(bob))
    enroll("other", make_user("grace"))
    enroll("wanted")
    enroll("free")
    for name in ("ada", "eve"):
        make_user(name)
    return run_job({"taken": "ada", "wanted": "grace", "free": "eve", "lost": "nobody"}, dry_run=True)


def report_of(job: LinkingJob) -> dict[str, dict[str, str]]:
    file = StringIO(newline="")
    write_report(job.pk, file)
    return {row["external_user_key"]: row for row in csv.DictReader(StringIO(file.getvalue(), newline=""))}


def shown(client: Client, job: LinkingJob, selection: str) -> list[str]:
    response = client.get(page("learners", job), {"outcome": selection})
    return [learner.external_user_key for learner in response.context["page"].learners]


def test_the_page_says_from_whom_an_enrollment_would_be_taken_and_which_roles_stay(
    client: Client, preview: LinkingJob
) -> None:
    text = client.get(page("change", preview)).content.decode()

    assert "would be taken from <strong>bob</strong>" in text
    assert STAYS in text
    assert f"{page('learners', preview)}?outcome=changes_hands" in text
    assert f'{page("learners", preview)}?outcome=warnings">Some learners have warnings</a>' in text
    assert (
        "Some learners have warnings"
        not in client.get(page("change", run_job({"free": "eve"}, dry_run=True))).content.decode()
    )


def test_after_the_run_the_page_says_from_whom_the_enrollment_was_taken(client: Client, preview: LinkingJob) -> None:
    job = run_job({"taken": "ada"})

    text = client.get(page("change", job)).content.decode()

    assert preview.pk != job.pk
    assert "taken from <strong>bob</strong>" in text
    assert "would be taken" not in text


def test_the_report_has_the_former_user_and_an_explanation_beside_the_databases_own_text(preview: LinkingJob) -> None:
    rows = report_of(preview)

    assert {key: row["taken_from"] for key, row in rows.items()} == {
        "taken": "bob",
        "wanted": "",
        "free": "",
        "lost": "",
    }
    assert rows["taken"]["warnings"] == STAYS
    assert rows["wanted"]["message"].startswith("IntegrityError: ")
    assert rows["wanted"]["explanation"] == CONFLICT
    assert rows["lost"]["explanation"] == ""


def test_a_row_of_an_imports_report_has_a_value_for_each_column(preview: LinkingJob) -> None:
    refused = submit({"a": "b"})
    LinkingJob.objects.filter(pk=refused.pk).update(state="refused", message="too many")
    file = StringIO(newline="")

    write_import_report([preview, LinkingJob.objects.get(pk=refused.pk)], file)

    lengths = {len(row) for row in csv.reader(StringIO(file.getvalue(), newline=""))}
    assert lengths == {9}


def test_the_former_user_is_the_one_before_an_earlier_learner_of_the_mapping_took_the_enrollment() -> None:
    enroll("key-1", make_user("first"))
    for name in ("second", "third"):
        make_user(name)
    job = submit({"key-1": "second", "KEY-1": "third"}, dry_run=True)
    run(job)

    assert {key: row["taken_from"] for key, row in report_of(job).items()} == {"key-1": "first", "KEY-1": "second"}


def test_a_former_user_that_exists_no_more_is_shown_by_its_id() -> None:
    bob = make_user("bob")
    enroll("taken", bob)
    make_user("ada")
    job, bob_id = run_job({"taken": "ada"}), bob.pk
    bob.delete()

    assert report_of(job)["taken"]["taken_from"] == f"user id {bob_id}"


def test_a_conflict_is_explained_in_words_with_the_databases_text_below(client: Client, preview: LinkingJob) -> None:
    text = client.get(page("change", preview)).content.decode()

    assert text.index(CONFLICT) < text.index("IntegrityError: ")


@pytest.mark.parametrize(
    ("message", "explanation"),
    [
        ("IntegrityError: (1062, \"Duplicate entry '7-5c8d' for key 'p.programenrollment_unique_user'\")", CONFLICT),
        (f"IntegrityError: (1062, \"Duplicate entry '7-5c' for key '{LMS_CONSTRAINT}'\")", CONFLICT),
        (f"IntegrityError: {OTHER_ROW}", "the database refused the change: it contradicts another row"),
        ("NonExistentCourseError", "a course run of the program enrollment does not exist in the LMS"),
        ("KeyError: 'x'", "an unexpected error; the worker's log says more"),
        ("No user found with username grace", ""),
        ("", ""),
    ],
)
def test_a_message_is_explained_by_the_row_that_is_in_the_way(message: str, explanation: str) -> None:
    assert explain(message, "grace") == explanation


def test_all_failures_changes_of_hands_and_warnings_are_each_one_filter(client: Client, preview: LinkingJob) -> None:
    assert shown(client, preview, "failures") == ["wanted", "lost"]
    assert shown(client, preview, "changes_hands") == ["taken"]
    assert shown(client, preview, "warnings") == ["taken"]
    assert shown(client, preview, "linked") == ["free"]
    assert shown(client, preview, "") == ["taken", "wanted", "free", "lost"]


def test_a_search_for_a_former_user_finds_the_learner_who_gets_the_enrollment(
    client: Client, preview: LinkingJob
) -> None:
    def found(text: str) -> list[str]:
        response = client.post(page("learners", preview), {"text": text})
        return [learner.external_user_key for learner in response.context["page"].learners]

    assert [found("bob"), found("bo"), found("gra"), found("tak")] == [["taken"], [], ["wanted"], ["taken"]]


def test_what_a_filter_shows_is_downloaded_as_a_report(client: Client, preview: LinkingJob) -> None:
    shown_page = client.get(page("learners", preview), {"outcome": "failures"}).content.decode()
    address = f"{page('report', preview)}?outcome=failures"

    response = client.get(address)

    rows = list(csv.DictReader(StringIO(b"".join(response).decode())))
    assert address in shown_page
    assert [(row["position"], row["external_user_key"]) for row in rows] == [("2", "wanted"), ("4", "lost")]
    assert f"linking-{preview.pk}-failures.csv" in response["Content-Disposition"]
    assert client.get(page("report", preview), {"outcome": "nonsense"}).status_code == 404


@pytest.mark.skipif("config.getoption('database') != 'postgres'", reason="the plans of PostgreSQL")
@pytest.mark.parametrize("selection", SELECTIONS)
def test_a_filter_reads_a_job_along_its_index_and_stops_when_the_page_is_full(selection: str) -> None:
    job = run_job(add_learners(1))
    plans: list[str] = []

    def explained(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.connection.execute("SET LOCAL enable_seqscan = off")
            plans.append("\n".join(row[0] for row in cursor.connection.execute(f"EXPLAIN {sql}", params)))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explained):
        find_learners(job, outcome=selection, after=7)

    (plan,) = plans
    assert "learneroutcome_unique" in plan
    assert "Sort" not in plan
    assert plan.startswith("Limit")
