"""Short ids: the first digits of a job's id name it in commands, unless they name several."""

import io
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command

from tests.support.jobs import order, run, submit
from worker import jobs
from worker.models import LinkingJob

pytestmark = pytest.mark.django_db(transaction=True)

JOB = UUID("0a1b2c3d-4e5f-4aaa-8000-000000000001")
TWIN = UUID("0a1b2c3d-4e5f-4bbb-8000-000000000002")


def command(action: str, job_id: str) -> str:
    """Run ``linking_jobs`` and return its output."""
    out = io.StringIO()
    call_command("linking_jobs", action, job_id, stdout=out)
    return out.getvalue()


def test_a_job_is_named_by_its_first_digits_in_any_spelling() -> None:
    jobs.submit(JOB, order({"s-1": "u-1"}))
    submit({"s-1": "u-1"})

    for text in ("0a1b2c3d", "0A1B2C3D4e", "0a1b2c3d-4e5f", str(JOB), JOB.hex):
        assert f"Job {JOB}: received" in command("show", text), text


@pytest.mark.parametrize("action", ["show", "watch", "cancel", "retry", "undo", "report"])
def test_digits_that_name_several_jobs_none_or_too_few_are_refused(action: str) -> None:
    for job_id in (JOB, TWIN):
        run(jobs.submit(job_id, order({"s-1": "u-1"})))

    for text, error in (
        ("0a1b2c3d", "several jobs have an id that begins with 0a1b2c3d: give more digits of it."),
        ("0a1b2c3d4e5f4", "several jobs have an id that begins with"),
        ("0a1b2c3e", "no job has an id that begins with 0a1b2c3e: manage.py linking_jobs list shows"),
        (str(UUID(int=0)), f"there is no job {UUID(int=0)}: manage.py linking_jobs list shows"),
        ("0a1b2c3", "'0a1b2c3' is no job id: expected a UUID, or its first 8 hexadecimal digits or more."),
        ("roster.csv", "'roster.csv' is no job id"),
    ):
        with pytest.raises(CommandError, match=f"^{error}"):
            command(action, text)
    assert LinkingJob.objects.count() == 2


def test_a_digit_more_tells_two_jobs_apart() -> None:
    for job_id in (JOB, TWIN):
        jobs.submit(job_id, order({"s-1": "u-1"}))

    assert f"Job {TWIN}: received" in command("show", "0a1b2c3d-4e5f-4b")
