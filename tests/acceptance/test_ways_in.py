"""Every way in dispatches a job as a chord of its slices, whose body ends the job under the caller's task id."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.utils import timezone
from pytest_django.fixtures import Settings

from tests.support.broker import Broker, Message, arguments, task_of
from tests.support.ids import PROGRAM
from tests.support.jobs import run_job, submit
from tests.support.populations import add_learners
from tests.support.visitors import press, superuser
from worker.jobs.routing import SMALL, note_marker
from worker.models import LinkingJob
from worker.tasks import import_inbox, link_program_enrollments, resume_stalled_jobs

pytestmark = pytest.mark.django_db(transaction=True)

LEARNERS = 3


def by_message(_: Path) -> None:
    mapping = add_learners(LEARNERS)
    link_program_enrollments.apply((str(PROGRAM), mapping), {"learners_per_subtask": 1})


def by_command(_: Path) -> None:
    job = run_job(dict.fromkeys((f"s-{n}" for n in range(LEARNERS)), "nobody"), learners_per_subtask=1)
    call_command("linking_jobs", "retry", str(job.pk))


def by_page(_: Path) -> None:
    job = run_job(add_learners(LEARNERS), learners_per_subtask=1)
    press(superuser(), job, "preview")


def by_file(inbox: Path) -> None:
    rows = "".join(f"{PROGRAM},{key},{username}\n" for key, username in add_learners(LEARNERS).items())
    (inbox / "roster.csv").write_text(f"program_uuid,external_user_key,lms_username\n{rows}")
    import_inbox.apply()


def by_recovery(_: Path) -> None:
    submit(add_learners(LEARNERS), learners_per_subtask=1)
    LinkingJob.objects.update(created=timezone.now() - timedelta(days=1))
    note_marker(SMALL.name, timezone.now())
    resume_stalled_jobs.apply()


@pytest.fixture
def broker(redis_without_worker: str) -> Broker:
    return Broker(redis_without_worker)


@pytest.mark.parametrize("way_in", [by_message, by_command, by_page, by_file, by_recovery])
def test_each_way_in_sends_the_open_slices_as_a_chord_whose_body_ends_the_job(
    way_in: Callable[[Path], None], broker: Broker, tmp_path: Path, settings: Settings
) -> None:
    settings.LINKING_INBOX = tmp_path

    way_in(tmp_path)

    job = LinkingJob.objects.get(notified=None)
    messages = [message for message in broker.queued() if task_of(message) != "linking.note_marker"]
    assert [(task_of(message), arguments(message)) for message in messages] == [
        ("linking.link_learners", [str(job.pk), number]) for number in range(LEARNERS)
    ]
    assert job.dispatched is not None
    for message in messages:
        assert body_of(broker, message) == ("linking.finish_job", [str(job.pk)], str(job.pk))
    assert len({message["headers"]["group"] for message in messages}) == 1


def test_a_job_without_open_slices_sends_its_end(broker: Broker) -> None:
    link_program_enrollments.apply((str(PROGRAM), {}))

    job = LinkingJob.objects.get()
    (message,) = broker.queued()
    assert (task_of(message), arguments(message), message["headers"]["id"]) == (
        "linking.finish_job",
        [str(job.pk)],
        str(job.pk),
    )


def body_of(broker: Broker, message: Message) -> tuple[str, list[str], str]:
    """Return the task, arguments and task id of the body of a message's chord."""
    body = broker.embedded(message)["chord"]
    return body["task"], body["args"], body["options"]["task_id"]
