"""Jobs going into the ledger: once for a task id, once for an idempotency key, not at all above the allowed relinks."""

from uuid import UUID, uuid4

import pytest
from django.contrib.auth import get_user_model
from django.db import connection

from linking.models import ProgramEnrollment
from tests.support.ids import OTHER_CURRICULUM, OTHER_PROGRAM, PROGRAM
from tests.support.jobs import finish, keys_by_slice, order, outcomes, run, run_job, submit
from tests.support.populations import add_learners
from tests.support.rows import enroll, make_user
from tests.support.stored import user_of
from tests.support.threads import at_once
from tests.support.worlds import snapshot
from worker import jobs
from worker.exceptions import IdempotencyConflictError, JobRefusedError
from worker.jobs import submission
from worker.jobs.queueing import queue_up, released_by
from worker.jobs.request import parse_link_request
from worker.jobs.slices import run_slice
from worker.models import Claim, JobSlice, LearnerOutcome, LinkingJob

MAPPING = {"s-1": "ada", "s-2": "bob"}


def ledger() -> tuple[int, int, int]:
    """Return how many jobs, slices and learners the ledger holds."""
    return LinkingJob.objects.count(), JobSlice.objects.count(), LearnerOutcome.objects.count()


def test_a_job_has_the_callers_id_the_program_and_the_options() -> None:
    job_id = uuid4()

    job = jobs.submit(job_id, order(MAPPING, dry_run=True, max_relinks="50%", learners_per_subtask=7))

    job.refresh_from_db()
    assert (job.pk, job.program_uuid, job.state, job.total) == (job_id, PROGRAM, "received", 2)
    assert job.options == {"dry_run": True, "max_relinks": "50%", "learners_per_subtask": 7}
    assert (job.idempotency_key, job.message, job.counts, job.started, job.finished) == (None, "", {}, None, None)


def test_submitting_twice_finds_the_first_job() -> None:
    job_id = uuid4()
    first = jobs.submit(job_id, order(MAPPING))
    run_slice(job_id, 0)

    again = jobs.submit(job_id, order(MAPPING))

    assert again.pk == first.pk == job_id
    assert ledger() == (1, 2, 2)
    assert outcomes(again)["s-1"] == "no_user"
    assert jobs.open_slices(again) == [1]


@pytest.mark.django_db(transaction=True)
def test_submitting_at_once_makes_one_job() -> None:
    job_id = uuid4()

    made = at_once(8, lambda _: jobs.submit(job_id, order(MAPPING, idempotency_key="nightly")).pk)

    assert made == [job_id] * 8
    assert ledger() == (1, 2, 2)


def test_the_same_key_and_payload_give_the_first_job_and_another_key_or_none_another() -> None:
    keys = ("one", "one", "two", None, None)

    first, again, *others = [submit(MAPPING, idempotency_key=key, dry_run=True).pk for key in keys]

    assert first == again
    assert len({first, *others}) == 4
    assert ledger() == (4, 8, 8)


@pytest.mark.parametrize(
    "other",
    [
        {"mapping": {"s-1": "ada", "s-2": "eve"}},
        {"mapping": {"s-2": "bob", "s-1": "ada"}},
        {"mapping": MAPPING, "dry_run": True},
        {"mapping": MAPPING, "max_relinks": 0},
        {"mapping": MAPPING, "learners_per_subtask": 1},
        {"mapping": MAPPING, "program": OTHER_PROGRAM},
    ],
    ids=["mapping", "order", "dry run", "relinks", "slices", "program"],
)
def test_the_same_key_with_another_payload_is_a_conflict(other: dict[str, object]) -> None:
    first = submit(MAPPING, idempotency_key="nightly")
    args = (str(other.pop("program", PROGRAM)), other.pop("mapping"))

    with pytest.raises(IdempotencyConflictError) as conflict:
        jobs.submit(uuid4(), parse_link_request(args, {"idempotency_key": "nightly", **other}))

    assert str(conflict.value) == (
        f"idempotency_key='nightly' belongs to job {first.pk}, which was asked for another program, mapping or options:"
        " use another, or send what that job was sent."
    )
    assert ledger() == (1, 2, 2)


@pytest.fixture
def enrollments() -> list[ProgramEnrollment]:
    """Three linked program enrollments and one that waits; the mapping below takes two of the three away."""
    ada, bob, eve, _ = (make_user(name) for name in ("ada", "bob", "eve", "joe"))
    return [enroll("s-1", ada), enroll("s-2", bob), enroll("s-3", eve), enroll("s-4")]


RELINKS = {"s-1": "bob", "S-2": "ada", "s-3": "eve", "s-4": "joe"}
"""A swap, one linked already, and one to be linked."""


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(("allowed", "count"), [(1, 1), (0, 0), ("25%", 1), ("49%", 1), ("0%", 0)])
def test_more_relinks_than_allowed_are_refused_and_nothing_is_linked(
    enrollments: list[ProgramEnrollment], allowed: int | str, count: int, *, dry_run: bool
) -> None:
    before, job_id = snapshot(), uuid4()
    text = (
        f"2 of 4 program enrollments would change hands, max_relinks={allowed} allows {count}: nothing was written."
        " Check the file; raise max_relinks if it is right."
    )

    for _ in range(2):  # A redelivery is refused like the first.
        with pytest.raises(JobRefusedError) as refused:
            jobs.submit(job_id, order(RELINKS, max_relinks=allowed, dry_run=dry_run))
        assert str(refused.value) == text

    assert snapshot() == before
    assert user_of(enrollments[0]) == "ada"
    job = LinkingJob.objects.get(pk=job_id)
    assert (job.state, job.message, job.is_final) == ("refused", text, True)
    assert job.finished is not None
    assert set(outcomes(job).values()) == {"pending"}


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(("present", "count"), [(None, 1), ("ada", 1), ("eve", 2), ("bob", 2)])
def test_a_relink_from_an_earlier_learner_of_the_mapping_counts(
    present: str | None, count: int, *, dry_run: bool
) -> None:
    users = {name: make_user(name) for name in ("ada", "bob", "eve")}
    enrollment = enroll("key-1", users[present] if present else None)
    mapping = {"KEY-1": "ada", "key-1": "bob"}

    with pytest.raises(JobRefusedError, match=f"^{count} of 2 program enrollments would change hands"):
        submit(mapping, max_relinks=count - 1, dry_run=dry_run)

    assert user_of(enrollment) == present
    job = submit(mapping, max_relinks=count)
    run(job)
    assert user_of(enrollment) == "bob"
    assert job.counts.get("relinked") == count


@pytest.mark.parametrize("allowed", [2, 3, "50%", "100%", None])
def test_as_many_relinks_as_allowed_are_run(enrollments: list[ProgramEnrollment], allowed: int | str | None) -> None:
    ProgramEnrollment.objects.filter(pk=enrollments[1].pk).update(curriculum_uuid=OTHER_CURRICULUM)

    job = submit(RELINKS, max_relinks=allowed)

    assert run(job).keys() == {"s-3"}
    assert outcomes(job) == {"s-1": "relinked", "S-2": "relinked", "s-3": "already_linked", "s-4": "linked"}
    assert [user_of(enrollment) for enrollment in enrollments] == ["bob", "ada", "eve", "joe"]


@pytest.mark.parametrize("allowed", [1, "50%"])
def test_the_relinks_of_a_job_that_waited_are_counted_again_at_its_start(allowed: int | str) -> None:
    """The first job links the learners that were not linked when the second was submitted."""
    for name in ("ada", "bob", "eve", "joe"):
        make_user(name)
    enrollments = [enroll("s-1"), enroll("s-2")]
    first = submit({"s-1": "ada", "s-2": "bob"})
    second = submit({"s-1": "eve", "s-2": "joe"}, max_relinks=allowed)
    assert (second.state, second.waits_for) == ("received", [str(first.pk)])
    run(first)
    assert released_by(first, None) == [second]
    before = snapshot()

    text = "^2 of 2 program enrollments would change hands, .* allows 1: nothing was written"
    with pytest.raises(JobRefusedError, match=text):
        jobs.start(second)
    with pytest.raises(JobRefusedError, match=text):
        finish(second)

    second.refresh_from_db()
    assert (second.state, set(outcomes(second).values())) == ("refused", {"pending"})
    assert second.notified is not None
    assert snapshot() == before
    assert [user_of(enrollment) for enrollment in enrollments] == ["ada", "bob"]


def test_a_job_that_waited_is_sliced_again_at_its_start() -> None:
    """The first job links s-0 to the user that s-2 is to get: only then do the two interfere."""
    for name in ("ada", "bob", "eve"):
        make_user(name)
    enrollments = [enroll("s-1", get_user_model().objects.get(username="bob")), enroll("s-0"), enroll("s-2")]
    first = submit({"s-0": "ada"})
    second = submit({"S-1": "nobody", "s-2": "ada", "s-0": "bob"}, learners_per_subtask=1)
    assert keys_by_slice(second) == [["S-1", "s-0"], ["s-2"]]
    run(first)

    errors = run(second)

    assert keys_by_slice(second) == [["S-1", "s-2", "s-0"]]
    assert outcomes(second) == {"S-1": "no_user", "s-2": "conflict", "s-0": "conflict"}
    assert errors.keys() == {"S-1", "s-2", "s-0"}
    assert [user_of(enrollment) for enrollment in enrollments] == ["bob", "ada", None]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("allowed", [None, 0])
def test_a_job_that_another_overtakes_before_its_claims_is_sliced_and_checked_by_the_rows_of_the_other(
    monkeypatch: pytest.MonkeyPatch, allowed: int | None
) -> None:
    """The other job links s-0 to the user that s-1 is to get: s-0 must give this user up first."""
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer: no job overtakes another")
    if connection.vendor == "mysql":  # Of a table with a few rows MariaDB reads, and locks, all, those of others too.
        run_job({f"x-{n}": "nobody" for n in range(300)})
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE TABLE worker_learneroutcome")
    add_learners(2)
    make_user("new")

    def overtaken(job: LinkingJob) -> None:
        monkeypatch.setattr(submission, "queue_up", queue_up)
        assert at_once(1, lambda _: run_job({"s-0": "u-0"}).counts) == [{"linked": 1}]
        queue_up(job)

    monkeypatch.setattr(submission, "queue_up", overtaken)
    if allowed is not None:
        with pytest.raises(JobRefusedError, match="1 of 2 program enrollments would change hands"):
            submit({"s-0": "new", "s-1": "u-0"}, max_relinks=allowed)
        assert not Claim.objects.exists()
        return
    job = submit({"s-0": "new", "s-1": "u-0"})

    assert job.waits_for == []
    assert keys_by_slice(job) == [["s-0", "s-1"]]
    assert run(job) == {}


@pytest.mark.parametrize("allowed", [2, "100%", None])
def test_a_job_that_waited_and_relinks_no_more_than_allowed_runs(allowed: int | str | None) -> None:
    make_user("ada")
    make_user("eve")
    enrollment = enroll("s-1")
    first = submit({"s-1": "ada"})
    second = submit({"s-1": "eve"}, max_relinks=allowed)
    run(first)

    assert run(second) == {}
    assert user_of(enrollment) == "eve"


def test_large_numbers_are_formatted_with_thousands() -> None:
    count = 1_200
    users = [make_user(f"u-{n}") for n in range(2)]
    ProgramEnrollment.objects.bulk_create(
        ProgramEnrollment(
            external_user_key=f"s-{n}", user=users[0], program_uuid=PROGRAM, curriculum_uuid=UUID(int=n + 1)
        )
        for n in range(count)
    )

    text = "^1,200 of 1,200 program enrollments would change hands, max_relinks=90% allows 1,080:"
    with pytest.raises(JobRefusedError, match=text):
        submit({f"s-{n}": "u-1" for n in range(count)}, max_relinks="90%")


def test_every_character_that_can_be_stored_reaches_the_ledger() -> None:
    texts = ["a\tb", "a\nb", "a\rb", *"\\\x01\x7fé\U0001f600\"'", "\\N", "\\.", "\\\tb", "a\u2028b", "日本", "a b"]
    mapping = dict(zip(texts, reversed(texts), strict=True))

    job = submit(mapping)

    assert dict(job.learners.order_by("position").values_list("external_user_key", "lms_username")) == mapping
