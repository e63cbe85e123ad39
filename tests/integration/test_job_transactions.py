"""A learner's outcome and rows are written in one transaction: the database refuses one of the two."""

from collections.abc import Iterator

import pytest
from django.db import DatabaseError, connection

from linking.models import ProgramCourseEnrollment, ProgramEnrollment
from tests.support.ids import ALGEBRA
from tests.support.jobs import finish, outcomes, run, run_slices, submit
from tests.support.populations import add_learners
from tests.support.rows import add_course_run, enroll, enroll_in_course, make_course, make_role, make_user
from tests.support.signals import announced, deliver
from tests.support.stored import assignments_left, enrolled, roles_of, user_of
from tests.support.triggers import failing_writes
from worker.models import LearnerOutcome

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def signals() -> Iterator[list[str]]:
    """The usernames of the course enrollments that signals announced."""
    with announced() as usernames:
        yield usernames


def test_an_outcome_that_cannot_be_written_leaves_its_learner_unlinked_and_open(signals: list[str]) -> None:
    make_course(ALGEBRA)
    users = [make_user(f"u-{n}") for n in range(4)]
    enrollments = [enroll(f"s-{n}") for n in range(4)]
    for enrollment in enrollments:
        add_course_run(enrollment, ALGEBRA, roles=("staff",))
    job = submit({f"s-{n}": f"u-{n}" for n in range(4)}, learners_per_subtask=4)

    with (
        failing_writes("worker_learneroutcome", "position", 3, error="raise_exception"),
        pytest.raises(DatabaseError, match="refused by"),
    ):
        run_slices(job)

    assert [user_of(enrollment) for enrollment in enrollments] == ["u-0", "u-1", "u-2", None]
    assert outcomes(job) == {"s-0": "linked", "s-1": "linked", "s-2": "linked", "s-3": "pending"}
    assert (enrolled(users[3]), roles_of(users[3])) == ({}, set())
    assert assignments_left() == {(str(ALGEBRA), "staff")}
    deliver()
    assert sorted(signals) == ["u-0", "u-1", "u-2"]
    assert finish(job) is None

    assert run(job) == {}
    assert user_of(enrollments[3]) == "u-3"
    assert job.counts == {"linked": 4}
    deliver()
    assert sorted(signals) == ["u-0", "u-1", "u-2", "u-3"]
    assert set(LearnerOutcome.objects.values_list("attempts", flat=True)) == {1}


def test_a_slice_whose_end_cannot_be_written_links_nobody() -> None:
    mapping = add_learners(1)
    job = submit(mapping)

    with failing_writes("worker_jobslice", "finished", None, error="raise_exception"):
        with pytest.raises(DatabaseError, match="refused by"):
            run_slices(job)
        assert outcomes(job) == {"s-0": "pending"}
        assert not ProgramEnrollment.objects.exclude(user=None).exists()

    assert run(job) == {}
    assert ProgramEnrollment.objects.get().user is not None


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("program_enrollments_programenrollment", "id"),
        ("program_enrollments_programcourseenrollment", "program_enrollment_id"),
    ],
)
@pytest.mark.parametrize("error", ["integrity_constraint_violation", "raise_exception"])
def test_a_failing_write_fails_its_learner_with_the_message(
    signals: list[str], table: str, column: str, error: str
) -> None:
    make_course(ALGEBRA, {"audit": None})
    users = [make_user(f"u-{n}") for n in range(5)]
    former = make_user("former")
    enrollments = [enroll(f"s-{n}", former if n == 2 else None) for n in range(5)]
    for n, enrollment in enumerate(enrollments):
        add_course_run(enrollment, ALGEBRA, enroll_in_course(former) if n == 2 else None, roles=("staff",))
    make_role(former)
    job = submit({f"s-{n}": f"u-{n}" for n in range(5)}, learners_per_subtask=5)

    with failing_writes(table, column, enrollments[2].pk, error=error):
        errors = run(job)

    assert list(errors) == ["s-2"]
    assert "refused by a trigger" in errors["s-2"]
    is_conflict = error == "integrity_constraint_violation" or connection.vendor == "sqlite"
    assert outcomes(job) == {f"s-{n}": "linked" for n in range(5)} | {"s-2": "conflict" if is_conflict else "error"}
    assert [user_of(enrollment) for enrollment in enrollments] == ["u-0", "u-1", "former", "u-3", "u-4"]
    assert enrolled(former) == {str(ALGEBRA): ("masters", True)}
    assert enrolled(users[2]) == {}
    assert ProgramCourseEnrollment.objects.get(program_enrollment=enrollments[2]).course_enrollment is not None
    deliver()
    assert sorted(signals) == ["u-0", "u-1", "u-3", "u-4"]
    assert LearnerOutcome.objects.get(external_user_key="s-2").before is None
