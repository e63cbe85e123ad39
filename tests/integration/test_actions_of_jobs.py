"""The actions and the upload of the admin's pages."""

from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from devservers import RedisServer
from tests.support.broker import Broker, task_of
from tests.support.ids import PROGRAM
from tests.support.jobs import outcomes, run, run_job, submit
from tests.support.populations import add_learners
from tests.support.rows import enroll, make_user
from tests.support.stored import user_of
from tests.support.threads import at_once
from tests.support.visitors import HEADER, RUN, UNDO, VIEW, page, press, press_and_read, upload, visitor
from worker import jobs
from worker.admin.actions import ACTIONS
from worker.exceptions import JobRefusedError
from worker.jobs.derived import retry_request
from worker.models import LinkingJob

pytestmark = pytest.mark.usefixtures("broker")


def preview_of(mapping: dict[str, str]) -> LinkingJob:
    """Return a dry run that has ended."""
    return run_job(mapping, dry_run=True)


def next_job(job: LinkingJob) -> LinkingJob:
    """Return the only other job."""
    return LinkingJob.objects.exclude(pk=job.pk).get()


def test_running_a_preview_links_the_learners_of_the_preview(runner: Client) -> None:
    enrollment, late = enroll("s-1"), enroll("s-2")
    make_user("u-1")
    preview = preview_of({"s-0": "u-0", "s-1": "u-1", "s-2": "u-2"})

    asked = runner.get(page("button", preview, "run"))
    response = press(runner, preview, "run", max_relinks="5%")

    assert "1 of 3 learners would be linked" in asked.content.decode()
    job = next_job(preview)
    assert response.url == page("change", job)
    assert job.options == {"dry_run": False, "max_relinks": "5%", "learners_per_subtask": None}
    run(job)
    assert outcomes(job) == {"s-0": "no_user", "s-1": "linked", "s-2": "no_user"}
    assert (user_of(enrollment), user_of(late)) == ("u-1", None)
    assert "was run as" in runner.get(page("change", preview)).content.decode()


@pytest.mark.django_db(transaction=True)
def test_a_preview_is_run_once_when_several_people_press_at_the_same_moment_and_again() -> None:
    preview = preview_of(add_learners(1))
    clients = [visitor(VIEW, RUN) for _ in range(4)]

    addresses = set(at_once(4, lambda n: str(press(clients[n], preview, "run", max_relinks="5%").url)))
    addresses.add(press(clients[0], preview, "run", max_relinks="5%").url)

    job = next_job(preview)
    assert addresses == {page("change", job)}
    assert job.learners.count() == 1


def test_another_jobs_id_in_a_form_does_that_job_no_harm(runner: Client) -> None:
    other, job = submit({"s-1": "u-1"}), submit({"s-2": "u-2"})
    run(job)
    LinkingJob.objects.filter(pk=job.pk).update(source="roster.csv")

    message = press_and_read(runner, job, "retry", other.pk)

    assert "This form was sent before, for other learners" in message
    other.refresh_from_db()
    assert (other.source, other.total, other.state) == ("", 1, LinkingJob.State.RECEIVED)


def test_a_run_that_the_guard_refuses_changes_nothing_and_may_be_tried_with_a_higher_limit(runner: Client) -> None:
    enrollment = enroll("s-1", make_user("former"))
    make_user("u-1")
    preview = preview_of({"s-1": "u-1"})

    refused = press_and_read(runner, preview, "run", max_relinks="5%")

    assert "1 of 1 enrollments would change hands, but the limit of 5% allows 0." in refused
    assert user_of(enrollment) == "former"
    assert LinkingJob.objects.get(state=LinkingJob.State.REFUSED).total == 1

    press(runner, preview, "run", max_relinks="1")
    run(LinkingJob.objects.get(state=LinkingJob.State.RUNNING))
    assert user_of(enrollment) == "u-1"


@pytest.mark.parametrize(
    ("dry_run", "limit", "fault"),
    [
        *((True, limit, "Give a whole number such as 12") for limit in ("many", "101%", "-1")),
        (False, "", "is no dry run that is done"),
    ],
)
def test_a_bad_limit_is_refused_and_a_job_that_is_no_preview(
    runner: Client, limit: str, fault: str, *, dry_run: bool
) -> None:
    job = run_job(add_learners(1), dry_run=dry_run)

    assert fault in press_and_read(runner, job, "run", max_relinks=limit)
    assert LinkingJob.objects.count() == 1


def test_cancel_asks_back_and_then_stops_the_job(runner: Client, broker: Broker) -> None:
    job = submit({"s-1": "u-1", "s-2": "u-2"})

    assert "2 of 2 learners are still open" in runner.get(page("button", job, "cancel")).content.decode()
    press(runner, job, "cancel")

    job.refresh_from_db()
    assert job.state == LinkingJob.State.CANCELLED
    assert set(outcomes(job).values()) == {"cancelled"}
    assert [task_of(message) for message in broker.queued()] == ["linking.finish_job"]


def test_retry_makes_a_job_of_the_failed_learners(runner: Client) -> None:
    for key in ("s-1", "s-2"):
        enroll(key)
    make_user("u-1")
    job = run_job({"s-0": "u-0", "s-1": "u-1", "s-2": "u-2"})
    make_user("u-2")
    again_id = uuid4()

    assert "2 of 3 learners failed" in runner.get(page("button", job, "retry")).content.decode()
    for _ in range(2):
        press(runner, job, "retry", again_id)

    again = LinkingJob.objects.get(pk=again_id)
    run(again)
    assert outcomes(again) == {"s-0": "no_user", "s-2": "linked"}
    assert LinkingJob.objects.count() == 2


def test_a_retry_may_relink_as_many_as_the_job_had_left_of_its_limit(runner: Client) -> None:
    for key in ("s-1", "s-2", "s-3"):
        enroll(key, make_user(f"former-{key}"))
    make_user("u-1")
    job = run_job({"s-1": "u-1", "s-2": "u-2", "s-3": "u-3", "s-4": "u-4"}, max_relinks="75%")
    make_user("u-2")
    make_user("u-3")

    press(runner, job, "retry")

    again = next_job(job)
    assert again.options["max_relinks"] == 2
    run(again)
    assert outcomes(again) == {"s-2": "relinked", "s-3": "relinked", "s-4": "no_user"}


def test_a_dry_run_of_a_job_shows_what_would_happen_now(runner: Client) -> None:
    enrollment = enroll("s-1")
    job = run_job({"s-1": "u-1"})
    make_user("u-1")

    press(runner, job, "preview")

    preview = next_job(job)
    run(preview)
    assert outcomes(preview) == {"s-1": "linked"}
    assert user_of(enrollment) is None


def test_undo_restores_the_rows_that_a_job_changed(broker: Broker) -> None:
    enrollment = enroll("s-1", make_user("former"))
    make_user("u-1")
    job = run_job({"s-1": "u-1", "s-2": "u-2"})
    runner, undo_id = visitor(VIEW, UNDO), uuid4()

    assert "changed 1 of 2 learners" in runner.get(page("button", job, "undo")).content.decode()
    press(runner, job, "preview-undo")
    run(LinkingJob.objects.get(options__dry_run=True))
    assert user_of(enrollment) == "u-1"
    for _ in range(2):
        press(runner, job, "undo", undo_id)

    run(LinkingJob.objects.get(pk=undo_id))
    assert user_of(enrollment) == "former"
    assert page("button", job, "undo") not in runner.get(page("change", job)).content.decode()
    assert {task_of(message) for message in broker.queued()} == {"linking.link_learners"}


def test_the_permission_to_run_does_not_include_undo_nor_the_reverse() -> None:
    job = run_job(add_learners(1) | {"s-2": "u-2"})
    runner, undoer = visitor(VIEW, RUN), visitor(VIEW, UNDO)

    assert {button for button in ACTIONS if press(runner, job, button).status_code == 403} == {"undo", "preview-undo"}
    assert {button for button in ACTIONS if press(undoer, job, button).status_code == 403} == {
        *("run", "raise", "retry", "preview", "pause", "resume", "cancel")
    }


def test_a_job_is_compared_with_the_job_before_it() -> None:
    enroll("s-1")
    make_user("u-1")
    before, job = submit({"s-1": "u-1", "s-2": "u-2"}), submit({"s-1": "u-1"})
    run(before)
    run(job)

    text = visitor(VIEW).get(page("change", job)).content.decode()

    assert "-1 linked, +1 already linked, -1 no user" in text
    assert page("change", before) in text


def test_failures_of_a_dry_run_are_not_linked_by_retrying_it() -> None:
    preview = preview_of({"s-1": "u-1"})

    assert retry_request(preview.pk).dry_run


def test_every_press_is_in_the_log_of_the_admin_and_names_no_learner(runner: Client) -> None:
    enroll("key-of-somebody")
    make_user("name-of-somebody")
    preview = preview_of({"key-of-somebody": "name-of-somebody", "key-of-nobody": "nobody"})

    press(runner, preview, "run", max_relinks="5%")
    job = next_job(preview)
    press(runner, job, "cancel")
    press(runner, job, "retry")
    press(runner, job, "preview")
    runner.get(page("report", job))

    shown = [entry.get_change_message() for entry in LogEntry.objects.order_by("pk")]
    assert [text.split(":")[0] for text in shown] == [
        "Run it",
        f"Run it of job {preview.pk}.",
        "Cancel.",
        "Retry failed",
        f"Retry failed of job {job.pk}.",
        "Dry run",
        f"Dry run of job {job.pk}.",
        "Report downloaded.",
    ]
    assert "somebody" not in "".join(shown)


def test_while_the_broker_is_away_only_cancelling_works(runner: Client, redis_server: RedisServer) -> None:
    enroll("s-1")
    make_user("u-1")
    preview, job = preview_of({"s-1": "u-1", "s-2": "u-2"}), submit({"s-1": "u-1"})
    redis_server.kill()

    shown = [press_and_read(runner, preview, name, max_relinks="5%") for name in ("run", "preview")]
    uploaded = upload(runner, f"{HEADER}s-1,u-1\n", program_uuid=str(PROGRAM))
    cancelled = press_and_read(runner, job, "cancel")

    assert shown == ["The broker does not answer: nothing was done. Try again when it is back."] * 2
    assert "nothing was done" in uploaded.context["form"].non_field_errors()[0]
    assert LinkingJob.objects.count() == 2
    assert "is sent when the broker is back" in cancelled
    job.refresh_from_db()
    assert job.state == LinkingJob.State.CANCELLED


def test_a_refused_job_can_be_run_as_a_preview(runner: Client) -> None:
    enroll("s-1", make_user("former"))
    make_user("u-1")
    with pytest.raises(JobRefusedError):
        submit({"s-1": "u-1"}, max_relinks=0)
    job = LinkingJob.objects.get()

    press(runner, job, "preview")

    preview = next_job(job)
    run(preview)
    assert jobs.progress_of(preview).counts == {"relinked": 1}
