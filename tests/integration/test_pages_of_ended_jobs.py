"""The pages of a job that has ended: undone, done with failures, refused; and forms after an error."""

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from devservers import RedisServer
from tests.support.ids import PROGRAM
from tests.support.jobs import outcomes, run, run_job, submit, undo
from tests.support.populations import add_learners
from tests.support.rows import enroll, make_user
from tests.support.visitors import HEADER, RUN, UNDO, VIEW, messages_of, page, press, upload, visitor
from worker import jobs
from worker.exceptions import JobRefusedError
from worker.models import LinkingJob

NOT_OF_THE_PAGES = ("max_relinks=", "Error:", "ValueError", "idempotency_key", "LINKING_MAX", "external_keys_to")
"""Texts of the code, which no page shows as an error."""


pytestmark = pytest.mark.usefixtures("redis_without_worker")


@pytest.fixture
def client() -> Client:
    """A visitor who may do everything with jobs."""
    return visitor(VIEW, RUN, UNDO)


def text_of(response: Any) -> str:
    """Return the text of a page, which is in the words of the pages."""
    text: str = response.content.decode()
    assert [word for word in NOT_OF_THE_PAGES if word in text] == []
    return text


def refused_job() -> LinkingJob:
    """Return a job of two learners, both of whose enrollments would change hands, where one may."""
    for key in ("s-1", "s-2"):
        enroll(key, make_user(f"former-{key}"))
        make_user(f"new-{key}")
    with pytest.raises(JobRefusedError):
        submit({"s-1": "new-s-1", "s-2": "new-s-2"}, max_relinks="50%")
    return LinkingJob.objects.get()


def test_a_job_that_was_undone_says_so_at_its_top_and_in_the_list(client: Client) -> None:
    job, untouched = run_job(add_learners(2)), run_job(add_learners(1))
    undoing = undo(job)

    text = text_of(client.get(page("change", job)))

    assert "undid 2 of 2 learners" in text
    assert text.index(page("change", undoing)) < text.index('id="progress"')
    assert '<span class="state mark-undone">undone</span>' in text
    assert text_of(client.get(page("changelist"))).count('<span class="state mark-undone">undone</span>') == 1
    assert "mark-undone" not in text_of(client.get(page("change", untouched)))


def test_a_job_that_was_undone_in_part_says_how_far(client: Client) -> None:
    job = run_job(add_learners(3))
    make_user("somebody")
    run_job({"s-1": "somebody"})
    undo(job)

    text = text_of(client.get(page("change", job)))

    assert "undid 2 of 3 learners; 1 were changed since and are left as they are" in text
    assert "undone: 2 of 3" in text
    assert "undone: 2 of 3" in text_of(client.get(page("changelist")))


def test_a_dry_run_of_undo_is_no_undo_and_one_at_work_says_so(client: Client) -> None:
    job = run_job(add_learners(2))
    undo(job, dry_run=True)
    assert "mark-undone" not in text_of(client.get(page("changelist")))

    jobs.submit_undo(uuid4(), job.pk)

    assert "is undoing this job" in text_of(client.get(page("change", job)))
    assert "being undone" in text_of(client.get(page("changelist")))


@pytest.mark.parametrize("where", ["change", "changelist"])
def test_a_job_that_is_done_with_failures_differs_by_a_text_from_one_without(client: Client, where: str) -> None:
    def look(job: LinkingJob) -> str:
        return text_of(client.get(page(where, job if where == "change" else None)))

    assert "mark-failures" not in look(run_job(add_learners(1)))
    failed = run_job({"a": "nobody", "b": "nobody"})
    assert f'mark-failures" href="{page("learners", failed)}?outcome=failures">2 failures</a>' in look(failed)
    assert ">1 failure</a>" in look(run_job({"a": "nobody"}))
    assert ">1 would fail</a>" in look(run_job({"a": "nobody"}, dry_run=True))


def test_a_learner_that_is_linked_already_is_no_failure(client: Client) -> None:
    mapping = add_learners(1)
    run_job(mapping)

    assert "mark-failures" not in text_of(client.get(page("change", run_job(mapping))))


def test_a_refused_job_says_what_would_have_to_change_and_is_run_again_with_a_higher_limit(client: Client) -> None:
    job = refused_job()

    text = text_of(client.get(page("change", job)))
    asked = text_of(client.get(page("button", job, "raise")))

    assert "2 of 2 enrollments would change hands, but the limit of 50% allows 1. Nothing was written." in text
    assert "with a limit of at least <strong>2</strong>" in text
    assert page("button", job, "raise") in text
    assert "<strong>2</strong> of 2 enrollments would change hands now" in asked
    assert 'name="max_relinks" value="2"' in asked

    response = press(client, job, "raise", max_relinks="2")

    again = LinkingJob.objects.exclude(pk=job.pk).get()
    assert response.url == page("change", again)
    assert (again.options["dry_run"], again.options["max_relinks"]) == (False, 2)
    run(again)
    assert outcomes(again) == {"s-1": "relinked", "s-2": "relinked"}
    text = text_of(client.get(page("change", job)))
    assert "was run again as" in text
    assert page("button", job, "raise") not in text


def test_the_confirmation_shows_the_count_of_now_and_a_run_that_is_refused_again_says_so(client: Client) -> None:
    job = refused_job()
    run_job({"s-1": "new-s-1"})
    asked = text_of(client.get(page("button", job, "raise")))
    assert "<strong>1</strong> of 2 enrollments would change hands now" in asked

    response = press(client, job, "raise", max_relinks="0")

    (again,) = LinkingJob.objects.filter(state="refused").exclude(pk=job.pk)
    assert response.url == page("change", again)
    shown = client.get(response.url)
    assert messages_of(shown) == [
        "Refused: 1 of 2 enrollments would change hands, but the limit is 0. Nothing was written."
    ]
    assert page("button", again, "raise") in text_of(shown)
    assert page("button", job, "raise") in text_of(client.get(page("change", job)))


def test_the_confirmation_of_a_run_says_when_its_limit_counts_learners_who_failed_in_the_dry_run(
    client: Client,
) -> None:
    for key, name in (("s-1", "one"), ("s-2", "other"), ("s-3", "third")):
        enroll(key, make_user(name))
    make_user("new")
    swapped = {"s-1": "other", "s-2": "one"}
    exact = run_job({"s-3": "new"}, dry_run=True)
    more = run_job({"s-3": "new"} | swapped, dry_run=True)

    asked = [text_of(client.get(page("button", job, "run"))) for job in (exact, more)]

    assert ["1 enrollment would change hands" in text for text in asked] == [True, True]
    assert ["The limit counts <strong>3</strong> now" in text for text in asked] == [False, True]


def test_a_refused_job_of_an_earlier_release_shows_the_text_that_it_has(client: Client) -> None:
    job = refused_job()
    LinkingJob.objects.filter(pk=job.pk).update(relinks=None, message="too many would change hands")

    assert "too many would change hands" in text_of(client.get(page("change", job)))
    assert "<strong>2</strong> of 2" in text_of(client.get(page("button", job, "raise")))


def test_a_note_about_a_refused_job_is_shown_too(client: Client) -> None:
    job = refused_job()
    jobs.note(job.pk, "callback 1 not sent")

    assert "Nothing was written. callback 1 not sent" in text_of(client.get(page("change", job)))


@pytest.mark.parametrize("limit", ["many", "101%", "-1"])
def test_a_form_with_a_bad_limit_is_shown_again_with_what_was_typed(client: Client, limit: str) -> None:
    preview = run_job(add_learners(1), dry_run=True)

    response = press(client, preview, "run", max_relinks=limit)

    assert response.status_code == 200
    text = text_of(response)
    assert "Give a whole number such as 12, or a percentage" in text
    assert f'value="{limit}"' in text


def test_a_form_keeps_its_values_while_the_broker_is_away(client: Client, redis_server: RedisServer) -> None:
    preview = run_job(add_learners(1), dry_run=True)
    redis_server.kill()

    confirmed = text_of(press(client, preview, "run", max_relinks="7 %"))
    uploaded = text_of(upload(client, f"{HEADER}s-1,u-1\n", program_uuid=str(PROGRAM)))

    assert 'value="7 %"' in confirmed
    assert f'value="{PROGRAM}"' in uploaded
    assert LinkingJob.objects.count() == 1


def test_after_an_error_an_upload_keeps_the_program_and_says_that_the_file_must_be_chosen_again(
    client: Client,
) -> None:
    text = text_of(upload(client, f"{HEADER}s-1,\n", program_uuid=str(PROGRAM)))

    assert f'value="{PROGRAM}"' in text
    assert "Choose the file again</strong> (it was roster.csv)" in text
    assert "Choose the file again" not in text_of(client.get(page("upload")))


def test_a_form_that_was_sent_with_another_file_says_so_and_can_be_sent_again(client: Client) -> None:
    upload_id = uuid4()
    assert upload(client, f"{HEADER}s-1,u-1\n", upload_id, program_uuid=str(PROGRAM)).status_code == 302

    response = upload(client, f"{HEADER}s-2,u-2\n", upload_id, program_uuid=str(PROGRAM))
    assert "This form was sent before" in text_of(response)
    new_id = response.context["form"]["upload_id"].value()
    assert upload(client, f"{HEADER}s-2,u-2\n", new_id, program_uuid=str(PROGRAM)).status_code == 302

    assert LinkingJob.objects.count() == 2


def test_a_mapping_that_is_too_large_for_a_job_is_refused_in_the_words_of_the_page(
    client: Client, settings: Settings
) -> None:
    settings.LINKING_MAX_MAPPING = 1

    text = text_of(upload(client, f"{HEADER}s-1,u-1\ns-2,u-2\n", program_uuid=str(PROGRAM)))

    assert f"2 learners of program {PROGRAM}, but a job takes 1: use the inbox." in text
