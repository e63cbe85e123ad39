"""Outcome and linking stand or fall together: with a database that really refuses one of the two."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from django.db import DatabaseError, connection

from linking.models import ProgramCourseEnrollment
from linking.signals import course_enrollment_changed
from tests.support.ids import ALGEBRA
from tests.support.jobs import outcomes, run, run_slices, submit
from tests.support.rows import add_course_run, enroll, enroll_in_course, make_course, make_role, make_user
from tests.support.stored import assignments_left, enrolled, roles_of, user_of
from worker import jobs
from worker.models import LearnerOutcome

pytestmark = pytest.mark.django_db(transaction=True)

Refuse = Callable[[str, str, str], Callable[[], None]]
"""Let the database refuse an event on rows of a table that meet a condition; call what it returns to relent."""

_ACTION = {"sqlite": "BEGIN SELECT RAISE(ABORT, 'the trigger refuses'); END", "postgresql": "EXECUTE FUNCTION refuse()"}
_FUNCTION = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the trigger refuses'; END $$
"""


@contextmanager
def trigger(table: str, event: str, condition: str) -> Iterator[None]:
    make = [
        f"CREATE TRIGGER refusal BEFORE {event} ON {table} FOR EACH ROW WHEN ({condition}) {_ACTION[connection.vendor]}"
    ]
    drop = ["DROP TRIGGER refusal"]
    if connection.vendor == "postgresql":
        make.insert(0, _FUNCTION)
        drop = [f"DROP TRIGGER refusal ON {table}", "DROP FUNCTION refuse"]
    with connection.cursor() as cursor:
        for sql in make:
            cursor.execute(sql)
        try:
            yield
        finally:
            for sql in drop:
                cursor.execute(sql)


@pytest.fixture
def refuse() -> Iterator[Refuse]:
    with ExitStack() as stack:

        def refuse_it(table: str, event: str, condition: str) -> Callable[[], None]:
            stack.enter_context(trigger(table, event, condition))
            return stack.close

        yield refuse_it


@pytest.fixture
def signals() -> Iterator[list[str]]:
    """The usernames of the course enrollments that were notified."""
    notified: list[str] = []

    def note(course_enrollment: Any, **_: Any) -> None:
        notified.append(course_enrollment.user.username)

    course_enrollment_changed.connect(note)
    yield notified
    course_enrollment_changed.disconnect(note)


def test_an_outcome_that_cannot_be_written_leaves_its_learner_unlinked_and_open(
    refuse: Refuse, signals: list[str]
) -> None:
    make_course(ALGEBRA)
    users = [make_user(f"u-{n}") for n in range(4)]
    enrollments = [enroll(f"s-{n}") for n in range(4)]
    for enrollment in enrollments:
        add_course_run(enrollment, ALGEBRA, roles=("staff",))
    job = submit({f"s-{n}": f"u-{n}" for n in range(4)}, learners_per_subtask=4)
    relent = refuse("worker_learneroutcome", "UPDATE", "NEW.position = 3")

    with pytest.raises(DatabaseError, match="the trigger refuses"):
        run_slices(job)

    assert [user_of(enrollment) for enrollment in enrollments] == ["u-0", "u-1", "u-2", None]
    assert outcomes(job) == {"s-0": "linked", "s-1": "linked", "s-2": "linked", "s-3": "pending"}
    assert (enrolled(users[3]), roles_of(users[3])) == ({}, set())
    assert assignments_left() == {(str(ALGEBRA), "staff")}
    assert sorted(signals) == ["u-0", "u-1", "u-2"]
    assert jobs.finish(job.pk, lambda _job, _errors: None) is None

    relent()
    assert run(job) == {}
    assert user_of(enrollments[3]) == "u-3"
    assert job.counts == {"linked": 4}
    assert sorted(signals) == ["u-0", "u-1", "u-2", "u-3"]
    assert set(LearnerOutcome.objects.values_list("attempts", flat=True)) == {1}


def test_a_slice_whose_end_cannot_be_written_links_nobody(refuse: Refuse) -> None:
    make_user("ada")
    enrollment = enroll("s-0")
    job = submit({"s-0": "ada"})
    relent = refuse("worker_jobslice", "UPDATE", "NEW.finished IS NOT NULL")

    with pytest.raises(DatabaseError, match="the trigger refuses"):
        run_slices(job)
    assert (user_of(enrollment), outcomes(job)) == (None, {"s-0": "pending"})

    relent()
    assert run(job) == {}
    assert user_of(enrollment) == "ada"


@pytest.mark.parametrize(
    ("table", "event", "column"),
    [
        ("program_enrollments_programenrollment", "UPDATE", "id"),
        ("program_enrollments_programcourseenrollment", "UPDATE", "program_enrollment_id"),
    ],
)
def test_a_learner_whose_rows_cannot_be_written_ends_with_the_words_of_the_database(
    refuse: Refuse, signals: list[str], table: str, event: str, column: str
) -> None:
    make_course(ALGEBRA, {"audit": None})
    users = [make_user(f"u-{n}") for n in range(5)]
    former = make_user("former")
    enrollments = [enroll(f"s-{n}", former if n == 2 else None) for n in range(5)]
    for n, enrollment in enumerate(enrollments):
        add_course_run(enrollment, ALGEBRA, enroll_in_course(former) if n == 2 else None, roles=("staff",))
    make_role(former)
    job = submit({f"s-{n}": f"u-{n}" for n in range(5)}, learners_per_subtask=5)
    refuse(table, event, f"NEW.{column} = {enrollments[2].pk}")

    errors = run(job)

    assert list(errors) == ["s-2"]
    assert "the trigger refuses" in errors["s-2"]
    outcome = outcomes(job)
    assert outcome.pop("s-2") in {"error", "conflict"}  # Whichever class the database's driver gives its refusals.
    assert set(outcome.values()) == {"linked"}
    assert [user_of(enrollment) for enrollment in enrollments] == ["u-0", "u-1", "former", "u-3", "u-4"]
    assert enrolled(former) == {str(ALGEBRA): ("masters", True)}
    assert enrolled(users[2]) == {}
    assert ProgramCourseEnrollment.objects.get(program_enrollment=enrollments[2]).course_enrollment is not None
    assert sorted(signals) == ["u-0", "u-1", "u-3", "u-4"]
    assert LearnerOutcome.objects.get(external_user_key="s-2").before is None


def test_a_role_that_cannot_be_granted_is_a_warning_and_its_assignment_stays(refuse: Refuse) -> None:
    make_course(ALGEBRA)
    users = [make_user(f"u-{n}") for n in range(3)]
    enrollments = [enroll(f"s-{n}") for n in range(3)]
    for enrollment in enrollments:
        add_course_run(enrollment, ALGEBRA, roles=("staff",))
    job = submit({f"s-{n}": f"u-{n}" for n in range(3)}, learners_per_subtask=3)
    refuse("student_courseaccessrole", "INSERT", f"NEW.user_id = {users[1].pk}")

    assert run(job) == {}

    assert [bool(roles_of(user)) for user in users] == [True, False, True]
    assert [user_of(enrollment) for enrollment in enrollments] == ["u-0", "u-1", "u-2"]
    assert assignments_left() == {(str(ALGEBRA), "staff")}
    (warning,) = LearnerOutcome.objects.get(external_user_key="s-1").warnings
    assert warning.startswith(f"role staff on {ALGEBRA} not granted: ")
    assert "the trigger refuses" in warning
    assert list(LearnerOutcome.objects.exclude(warnings=[]).values_list("external_user_key", flat=True)) == ["s-1"]
