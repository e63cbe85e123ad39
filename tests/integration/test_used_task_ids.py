"""A second request under the task id of a job: it is that job, or a conflict."""

from typing import Any
from uuid import uuid4

import pytest

from tests.support.jobs import order
from worker import jobs
from worker.exceptions import IdempotencyConflictError
from worker.models import JobSlice, LearnerOutcome, LinkingJob

MAPPING = {"s-1": "ada", "s-2": "bob"}


def ledger() -> tuple[list[Any], int, int]:
    """Return the ledger's jobs, and how many slices and learners it holds."""
    return list(LinkingJob.objects.order_by("pk").values()), JobSlice.objects.count(), LearnerOutcome.objects.count()


@pytest.mark.parametrize("payload", [MAPPING, {"s-3": "eve"}], ids=["same payload", "other payload"])
@pytest.mark.parametrize(
    ("used", "first", "second"),
    [
        # (whose id the second request has, key of the first job, key of the second request)
        ("first", None, "new"),
        ("first", "old", "new"),
        ("other", "old", "old"),
    ],
)
def test_a_used_task_id_with_another_key_is_a_conflict(
    used: str, first: str | None, second: str, payload: dict[str, str]
) -> None:
    ids = {"first": uuid4(), "other": uuid4()}
    jobs.submit(ids["first"], order(MAPPING, idempotency_key=first))
    jobs.submit(ids["other"], order(MAPPING))
    before = ledger()

    with pytest.raises(IdempotencyConflictError, match=f"{ids[used]} belongs to a job with another idempotency_key"):
        jobs.submit(ids[used], order(payload, idempotency_key=second))

    assert ledger() == before


def test_a_used_task_id_without_a_key_finds_its_job() -> None:
    job_id = uuid4()
    jobs.submit(job_id, order(MAPPING, idempotency_key="nightly"))

    assert jobs.submit(job_id, order(MAPPING)).pk == job_id
    with pytest.raises(IdempotencyConflictError, match=f"task id {job_id} belongs"):
        jobs.submit(job_id, order({"s-3": "eve"}))
