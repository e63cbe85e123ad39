"""A failing write in a slice: only its learner is in error, the others are linked."""

import time
from collections.abc import Sequence

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, connection

from linking.bulk import Learner, link_slice
from linking.engine import batch
from linking.sql import is_outage
from tests.support.ids import ALGEBRA, PROGRAM
from tests.support.rows import add_course_run, enroll, enroll_in_course, make_course, make_role, make_user
from tests.support.runs import Link, MemoryLedger, learners_of, link_by_engine
from tests.support.stored import enrolled, user_of
from tests.support.triggers import failing_writes, refused_with

# With real transactions: what fails is what production would lose.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("ada")]


@pytest.mark.parametrize("guilty", [0, 6, 11])
@pytest.mark.parametrize("relinks", [False, True])
def test_a_failing_course_enrollment_fails_its_learner_only(link: Link, guilty: int, *, relinks: bool) -> None:
    former = [make_user(f"former-{n}") for n in range(12)]
    users = [make_user(f"user-{n}") for n in range(12)]
    enrollments = [enroll(f"s-{n}", former[n] if relinks else None) for n in range(12)]
    make_course()
    for n, enrollment in enumerate(enrollments):
        add_course_run(enrollment, course_enrollment=enroll_in_course(former[n]) if relinks else None, roles=("staff",))

    with failing_writes("student_courseenrollment", "user_id", users[guilty].pk):
        errors = link({f"s-{n}": f"user-{n}" for n in range(12)})

    assert errors.keys() == {f"s-{guilty}"}
    assert errors[f"s-{guilty}"].startswith(refused_with("refused by a trigger"))
    for n, enrollment in enumerate(enrollments):
        linked = n != guilty
        assert user_of(enrollment) == (f"user-{n}" if linked else f"former-{n}" if relinks else None)
        assert enrolled(users[n]) == ({str(ALGEBRA): ("masters", True)} if linked else {})
        if relinks:
            assert enrolled(former[n]) == {str(ALGEBRA): ("audit", False) if linked else ("masters", True)}


def test_an_old_course_enrollment_that_cannot_be_left_keeps_the_old_user(link: Link, ada: User, bob: User) -> None:
    eve = make_user("eve")
    make_course()
    relinked, other = enroll("s-1", ada), enroll("s-2")
    add_course_run(relinked, course_enrollment=enroll_in_course(ada))
    add_course_run(other)

    with failing_writes("student_courseenrollment", "user_id", ada.pk):
        assert link({"s-1": "bob", "s-2": "eve"}).keys() == {"s-1"}

    assert (user_of(relinked), user_of(other)) == ("ada", "eve")
    assert (enrolled(bob), enrolled(eve)) == ({}, {str(ALGEBRA): ("masters", True)})


def test_learners_who_interfere_with_the_guilty_one_go_on_from_what_it_left(link: Link, ada: User, bob: User) -> None:
    make_course()
    giver, taker = enroll("s-1", ada), enroll("s-2")
    for enrollment in (giver, taker):
        add_course_run(enrollment)

    with failing_writes("student_courseenrollment", "user_id", bob.pk):
        errors = link({"s-1": "bob", "s-2": "ada"})

    # The giver keeps ada, so that the taker collides.
    assert errors.keys() == {"s-1", "s-2"}
    assert errors["s-1"].startswith(refused_with("refused by a trigger"))
    assert errors["s-2"].startswith("IntegrityError: ")
    assert "refused" not in errors["s-2"]
    assert (user_of(giver), user_of(taker)) == ("ada", None)


def test_several_guilty_learners_each_get_their_own_message(link: Link) -> None:
    users = [make_user(f"user-{n}") for n in range(9)]
    make_course()
    for n in range(9):
        add_course_run(enroll(f"s-{n}"))
    enroll("elsewhere", users[4])

    with failing_writes("student_courseenrollment", "user_id", users[2].pk):
        errors = link({f"s-{n}": f"user-{n}" for n in range(9)})

    assert errors.keys() == {"s-2", "s-4"}
    assert errors["s-2"].startswith(refused_with("refused by a trigger"))
    assert "refused" not in errors["s-4"]


def test_a_failure_in_one_slice_leaves_the_next_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "SLICE_SIZE", 2)
    users = [make_user(f"user-{n}") for n in range(5)]
    enrollments = [enroll(f"s-{n}") for n in range(5)]
    make_course()
    for enrollment in enrollments:
        add_course_run(enrollment)
    make_role(users[0])

    with failing_writes("student_courseenrollment", "user_id", users[1].pk):
        assert link_by_engine({f"s-{n}": f"user-{n}" for n in range(5)}).keys() == {"s-1"}

    assert [user_of(enrollment) for enrollment in enrollments] == ["user-0", None, "user-2", "user-3", "user-4"]


class SlowLedger(MemoryLedger):
    """A ledger that takes its time once, in the middle of the engine's transaction, as a frozen process does."""

    def claim(self, positions: Sequence[int] | None) -> list[Learner]:
        """Return the learners, later than PostgreSQL waits."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")  # The transaction has begun.
        time.sleep(0.5)  # The time is the case: PostgreSQL ends the transaction after 0.1 seconds.
        return super().claim(positions)


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite ends no transaction by itself")
def test_a_transaction_that_the_server_ended_is_no_learners_fault() -> None:
    enroll("s-1")
    ledger = SlowLedger(learners_of({"s-1": "ada"}))
    with connection.cursor() as cursor:
        cursor.execute("SET idle_in_transaction_session_timeout = '100ms'")

    with pytest.raises(DatabaseError) as caught:
        link_slice(PROGRAM, ledger)

    assert is_outage(caught.value)
    assert ledger.results == {}
