"""The admin's pages: who sees what, and which statements that takes."""

import csv
import io
import re

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.support.ids import OTHER_PROGRAM, PROGRAM
from tests.support.jobs import run, run_job, submit
from tests.support.populations import add_learners
from tests.support.rows import enroll, make_user
from tests.support.stored import user_of
from tests.support.visitors import BY_TLS, HEADER, RUN, UNDO, VIEW, page, press, superuser, upload, visitor
from worker.admin.actions import ACTIONS
from worker.models import LinkingJob


@pytest.fixture
def client() -> Client:
    """A visitor who may view jobs."""
    return visitor(VIEW)


def test_the_list_shows_each_job_with_its_state_and_a_chart_of_its_outcomes_with_a_label(client: Client) -> None:
    enroll("s-1")
    make_user("u-1")
    run_job({"s-1": "u-1", "s-2": "u-2"})
    submit({"s-3": "u-3"})

    text = client.get(page("changelist")).content.decode()

    assert 'aria-label="1 linked, 1 no user"' in text
    assert 'aria-label="1 pending"' in text
    assert 'class="state state-done"' in text
    assert 'class="state state-received"' in text


def statements(client: Client, address: str, posted: dict[str, str] | None = None) -> list[str]:
    """Return the statements that a page takes."""
    with CaptureQueriesContext(connection) as captured:
        response = client.get(address) if posted is None else client.post(address, posted)
        assert response.status_code == 200
        assert b"".join(response)
    return [query["sql"] for query in captured]


def test_the_list_takes_no_more_statements_for_many_jobs_than_for_few(client: Client) -> None:
    def count(more: int) -> int:
        for _ in range(more):
            submit({"s-1": "u-1", "s-2": "u-2"}, dry_run=True)
            run_job({"s-1": "u-1"}, dry_run=True)
        return len(statements(client, page("changelist")))

    assert count(1) == count(8)


def test_a_jobs_pages_take_as_many_statements_for_many_learners_as_for_few() -> None:
    client = visitor(VIEW, RUN)

    def taken(learners: int) -> list[list[str]]:
        job = submit(add_learners(learners), learners_per_subtask=learners)
        open_page = statements(client, page("change", job))
        run(job)
        return [
            open_page,
            statements(client, page("change", job)),
            statements(client, page("progress", job)),
            statements(client, page("learners", job)),
            statements(client, page("learners", job), {"text": "s-", "outcome": "linked", "after": "5"}),
            statements(client, page("learners", job), {"text": "nobody"}),
            statements(client, page("button", job, "preview")),
        ]

    few, many = taken(10), taken(1_000)

    assert [len(of_page) for of_page in few] == [len(of_page) for of_page in many]
    assert max(map(len, many)) <= 15
    ledger = "worker_learneroutcome"
    assert not [sql for of_page in many for sql in of_page if ledger in sql and "COUNT(" in sql]


@pytest.mark.parametrize(
    ("looked_for", "found"),
    [
        ({"text": "Key-A"}, ["Key-A1", "Key-A2"]),
        ({"text": "Key-A2"}, ["Key-A2"]),
        ({"text": "Bo"}, ["Key-B1"]),
        ({"outcome": "linked"}, ["Key-A1"]),
        ({"text": "Key-", "outcome": "no_user"}, ["Key-A2", "Key-B1"]),
        ({"text": "%"}, []),
        ({"after": "0"}, ["Key-A2", "Key-B1"]),
        ({}, ["Key-A1", "Key-A2", "Key-B1"]),
    ],
)
def test_learners_are_found_by_prefix_and_by_outcome(
    client: Client, looked_for: dict[str, str], found: list[str]
) -> None:
    enroll("Key-A1")
    make_user("Ann")
    job = run_job({"Key-A1": "Ann", "Key-A2": "Ada", "Key-B1": "Bob"})

    response = client.post(page("learners", job), looked_for)

    assert [learner.external_user_key for learner in response.context["page"].learners] == found


def test_page_after_page_shows_every_learner_once_in_mapping_order(client: Client) -> None:
    job = submit({f"s-{n}": f"u-{n}" for n in range(120)})
    after, seen = "", []

    while after is not None:
        shown = client.post(page("learners", job), {"text": "s-", "after": after}).context["page"]
        seen += [learner.position for learner in shown.learners]
        after = shown.next_after

    assert seen == list(range(120))


def test_a_search_is_never_part_of_an_address(client: Client) -> None:
    job = submit({"s-1": "u-1"})

    response = client.get(page("learners", job), {"text": "nobody"})

    assert len(response.context["page"].learners) == 1
    assert 'method="post"' in response.content.decode()


def test_the_progress_of_a_job_is_json(client: Client) -> None:
    job = submit({"s-1": "u-1", "s-2": "u-2"})
    before = client.get(page("progress", job)).json()
    run(job)
    after = client.get(page("progress", job)).json()

    assert (before["state"], before["final"], before["done"], before["total"]) == ("received", False, 0, 2)
    assert (after["state"], after["final"], after["done"]) == ("done", True, 2)
    assert after["counts"] == {"no_user": 2}


def test_the_report_is_sent_row_by_row(client: Client) -> None:
    job = run_job({"s-1": "u-1", "s-2": 'Zoë, "Z"'})

    response = client.get(page("report", job))

    assert response.streaming
    assert response["Content-Disposition"] == f'attachment; filename="linking-{job.pk}.csv"'
    rows = list(csv.DictReader(io.StringIO(b"".join(response).decode())))
    assert [(row["position"], row["lms_username"], row["outcome"]) for row in rows] == [
        ("1", "u-1", "no_user"),
        ("2", 'Zoë, "Z"', "no_user"),
    ]


def test_values_of_a_mapping_are_escaped_and_a_page_has_no_inline_script() -> None:
    job = submit({"<script>alert(1)</script>": "<b>u</b>"})

    response = visitor(VIEW, RUN).get(page("change", job))

    assert "<script>alert" not in response.content.decode()
    assert not re.findall(r"<script(?![^>]*\ssrc=)[^>]*>|\son\w+=|\sstyle=", response.content.decode())
    assert "default-src 'self'" in response["Content-Security-Policy"]


def test_a_job_without_learners_and_one_whose_learners_are_gone_can_be_viewed() -> None:
    empty, purged = submit({}), submit({"s-1": "u-1"})
    run(empty)
    run(purged)
    purged.learners.all().delete()
    LinkingJob.objects.filter(pk=purged.pk).update(purged=timezone.now())
    client = visitor(VIEW, RUN)

    assert "no learners" in client.get(page("change", empty)).content.decode()
    text = client.get(page("change", purged)).content.decode()
    assert "were removed from the ledger" in text
    assert page("button", purged, "retry") not in text


@pytest.mark.parametrize("name", ["00000000-0000-4000-8000-000000000000", "nonsense"])
def test_a_job_that_is_not_there_is_not_found(client: Client, name: str) -> None:
    assert client.get(f"/admin/worker/linkingjob/{name}/change/").status_code == 404


def test_a_viewer_sees_no_buttons_and_may_press_none() -> None:
    job = submit({"s-1": "u-1"})
    viewer = visitor(VIEW)

    assert "/do/" not in viewer.get(page("change", job)).content.decode()
    assert page("upload") not in viewer.get(page("changelist")).content.decode()
    assert {press(viewer, job, name).status_code for name in ACTIONS} == {403}
    assert {viewer.get(page("button", job, name)).status_code for name in ACTIONS} == {403}
    assert upload(viewer, f"{HEADER}s-1,u-1\n", program_uuid=str(PROGRAM)).status_code == 403
    job.refresh_from_db()
    assert job.state == LinkingJob.State.RECEIVED
    assert LinkingJob.objects.count() == 1


def test_without_the_permission_to_view_jobs_nothing_is_shown_or_done() -> None:
    job = submit({"s-1": "u-1"})
    runner = visitor(RUN, UNDO)

    for name in ("change", "progress", "learners", "report"):
        assert runner.get(page(name, job)).status_code == 403
    assert press(runner, job, "cancel").status_code == 403
    assert Client(headers=BY_TLS).get(page("change", job)).status_code == 302


def test_jobs_are_neither_made_nor_changed_nor_deleted_by_hand() -> None:
    job = submit({"s-1": "u-1"})
    client = superuser()

    assert client.get("/admin/worker/linkingjob/add/").status_code == 403
    assert client.post(f"/admin/worker/linkingjob/{job.pk}/delete/", {"post": "yes"}).status_code == 403
    client.post(page("change", job), {"state": "done", "total": "7"})
    client.post(page("changelist"), {"action": "delete_selected", "_selected_action": str(job.pk), "post": "yes"})

    job.refresh_from_db()
    assert (job.state, job.total) == (LinkingJob.State.RECEIVED, 1)


def test_a_button_needs_the_token_of_its_page() -> None:
    job = submit({"s-1": "u-1"})
    client = superuser(enforce_csrf_checks=True)

    assert press(client, job, "cancel").status_code == 403
    job.refresh_from_db()
    assert job.state == LinkingJob.State.RECEIVED


def test_a_superuser_cannot_edit_the_tables_of_the_lms() -> None:
    enrollment = enroll("s-1", make_user("u-1"))
    client = superuser()
    table = "/admin/linking/programenrollment"

    shown = client.get(f"{table}/{enrollment.pk}/change/")
    changed = client.post(f"{table}/{enrollment.pk}/change/", {"status": "suspended"})
    deleted = client.post(f"{table}/{enrollment.pk}/delete/", {"post": "yes"})
    client.post(f"{table}/", {"action": "delete_selected", "_selected_action": str(enrollment.pk), "post": "yes"})

    assert shown.status_code == 200
    assert (changed.status_code, deleted.status_code) == (403, 403)
    for model in apps.get_app_config("linking").get_models():
        assert client.get(f"/admin/linking/{model.__name__.lower()}/add/").status_code == 403
    assert user_of(enrollment) == "u-1"
    assert enrollment.status == "enrolled"


def test_the_tables_are_listed_without_counting_them_to_the_end() -> None:
    add_learners(30)
    client = superuser()
    table = "program_enrollments_programenrollment"

    for model in apps.get_app_config("linking").get_models():
        assert client.get(f"/admin/linking/{model.__name__.lower()}/").status_code == 200
    found = statements(client, "/admin/linking/programenrollment/?q=s-7")

    counting = [sql for sql in found if "COUNT(" in sql and table in sql]
    assert len(counting) == 1
    assert all("LIMIT 10000" in sql for sql in counting)


@pytest.mark.parametrize("page", ["worker/linkingjob", "django_celery_results/taskresult"])
def test_jobs_and_results_are_listed_without_counting_them_to_the_end(page: str) -> None:
    run_job({"s-1": "u-1"})

    found = statements(superuser(), f"/admin/{page}/")

    table = page.replace("/", "_")
    counting = [sql for sql in found if "COUNT(" in sql and table in sql]
    assert len(counting) == 1
    assert all("LIMIT 10000" in sql for sql in counting)
    assert [sql for sql in found if "DISTINCT" in sql] == []


def test_a_job_is_found_by_its_id_the_digits_that_the_pages_show_of_it_its_program_or_its_file(client: Client) -> None:
    job, other = run_job({"s-1": "u-1"}), run_job({"s-2": "u-2"}, OTHER_PROGRAM)
    LinkingJob.objects.filter(pk=job.pk).update(source="roster.csv")

    for text in (str(job.pk), str(job.pk)[:8], job.pk.hex[:12].upper(), f" {job.program_uuid} ", "roster.csv"):
        shown = client.get("/admin/worker/linkingjob/", {"q": text}).content.decode()
        assert str(job.pk) in shown, text
        assert str(other.pk) not in shown, text
    assert str(job.pk) not in client.get("/admin/worker/linkingjob/", {"q": "roster"}).content.decode()
