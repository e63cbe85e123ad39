"""Rules of ``course_enrollment_changed``: from the outbox, once for each transition of a course enrollment."""

from collections.abc import Iterator
from typing import NamedTuple, Self

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from linking import api
from linking.models import CourseEnrollment
from tests.support.ids import ALGEBRA, BIOLOGY
from tests.support.rows import add_course_run, enroll, enroll_in_course, make_course, make_user
from tests.support.runs import link_by_engine
from tests.support.signals import announced, deliver
from tests.support.stored import enrolled

# Real transactions: receivers are called outside of them.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("ada", "bob")]


class Announcement(NamedTuple):
    """One signal."""

    username: str
    course: str
    mode: str
    is_active: bool
    created: bool
    skip_refund: bool

    @classmethod
    def of(cls, course_enrollment: CourseEnrollment, created: bool, skip_refund: bool, **_: object) -> Self:
        row = course_enrollment
        return cls(row.user.username, str(row.course_id), row.mode, row.is_active, created, skip_refund)


def link(mapping: dict[str, str]) -> dict[str, str]:
    """Link, then deliver the events."""
    errors = link_by_engine(mapping)
    deliver()
    return errors


@pytest.fixture
def heard() -> Iterator[list[Announcement]]:
    """The signals that were sent while the test ran."""
    with announced(Announcement.of) as heard:
        yield heard


@pytest.mark.parametrize(
    ("mode", "is_active", "status", "expected"),
    [
        (None, False, "active", [True]),
        ("audit", True, "active", [True]),
        ("honor", True, "active", [True]),
        ("verified", False, "active", [True]),
        ("masters", True, "active", []),
        ("verified", True, "active", []),
        ("masters", True, "inactive", [False]),
        # As Open edX does it: enrolled, then deactivated.
        (None, False, "inactive", [True, False]),
        ("audit", True, "inactive", [True, False]),
        ("masters", False, "inactive", [True, False]),
    ],
)
def test_each_step_of_a_course_enrollment_is_announced(
    heard: list[Announcement], mode: str | None, status: str, ada: User, *, is_active: bool, expected: list[bool]
) -> None:
    make_course()
    if mode:
        enroll_in_course(ada, mode=mode, is_active=is_active)
    add_course_run(enroll("s-1"), status=status)

    link({"s-1": "ada"})

    assert heard == [
        Announcement("ada", str(ALGEBRA), "masters", active, created=mode is None and active, skip_refund=False)
        for active in expected
    ]


@pytest.mark.parametrize("is_active", [True, False])
def test_a_former_user_leaves_once_without_refund(heard: list[Announcement], ada: User, *, is_active: bool) -> None:
    mode = "masters" if is_active else "audit"
    add_course_run(enroll("s-1", ada), make_course(), enroll_in_course(ada, mode=mode, is_active=is_active))

    link({"s-1": "bob"})

    left = Announcement("ada", str(ALGEBRA), "audit", False, created=False, skip_refund=True)
    assert heard == [
        *([left] if is_active else []),
        Announcement("bob", str(ALGEBRA), "masters", True, created=True, skip_refund=False),
    ]


def test_the_row_of_a_signal_is_the_committed_row() -> None:
    add_course_run(enroll("s-1"), make_course())
    columns = ("id", "user_id", "course_id", "created", "is_active", "mode")

    def compare(course_enrollment: CourseEnrollment, **_: object) -> list[tuple[object, object]]:
        # Returned, not asserted: an event whose receiver raises is delivered later.
        stored = CourseEnrollment.objects.get(pk=course_enrollment.pk)
        pairs = [(getattr(course_enrollment, name), getattr(stored, name)) for name in columns]
        return [(connection.in_atomic_block, False), *pairs]

    with announced(compare) as compared:
        link({"s-1": "ada"})

    ((*pairs,),) = compared
    assert len(pairs) == 1 + len(columns)
    assert [pair for pair in pairs if pair[0] != pair[1]] == []


def test_each_course_enrollment_is_announced_once(heard: list[Announcement]) -> None:
    enrollment = enroll("s-1")
    for key in (ALGEBRA, BIOLOGY):
        add_course_run(enrollment, make_course(key))
    for n in range(2, 5):
        add_course_run(enroll(f"s-{n}"))
    for n in range(1, 5):
        make_user(f"user-{n}")

    link({f"s-{n}": f"user-{n}" for n in range(1, 5)})

    assert len(heard) == len(set(heard)) == 5


def test_a_user_who_moves_to_another_enrollment_leaves_before_joining(heard: list[Announcement], ada: User) -> None:
    make_course()
    add_course_run(enroll("s-1", ada), course_enrollment=enroll_in_course(ada))
    add_course_run(enroll("s-2"))

    assert link({"s-1": "bob", "s-2": "ada"}) == {}

    assert enrolled(ada) == {str(ALGEBRA): ("masters", True)}
    assert heard == [
        Announcement("ada", str(ALGEBRA), "audit", False, created=False, skip_refund=True),
        Announcement("bob", str(ALGEBRA), "masters", True, created=True, skip_refund=False),
        Announcement("ada", str(ALGEBRA), "masters", True, created=False, skip_refund=False),
    ]


def test_nothing_is_announced_for_a_learner_who_was_rolled_back(heard: list[Announcement], ada: User) -> None:
    make_user("eve")
    make_course()
    enrollment = enroll("s-1", ada)
    add_course_run(enrollment, ALGEBRA, enroll_in_course(ada))
    add_course_run(enrollment, BIOLOGY)
    add_course_run(enroll("s-2"))

    assert link({"s-1": "bob", "s-2": "eve"}) == {"s-1": "NonExistentCourseError"}

    assert [announcement.username for announcement in heard] == ["eve"]


def test_nothing_is_announced_when_the_callers_transaction_is_rolled_back(heard: list[Announcement]) -> None:
    add_course_run(enroll("s-1"), make_course())

    with transaction.atomic():
        link_by_engine({"s-1": "ada"})
        transaction.set_rollback(True)
    deliver()

    assert heard == []


def test_a_receiver_that_raises_harms_neither_the_others_nor_the_learner(
    heard: list[Announcement], ada: User, caplog: pytest.LogCaptureFixture
) -> None:
    add_course_run(enroll("s-1"), make_course())

    def complain(**_: object) -> None:
        msg = "mail is down"
        raise RuntimeError(msg)

    with announced(complain):
        assert link({"s-1": "ada"}) == {}
    assert "mail is down" not in caplog.text

    assert len(heard) == 1
    assert enrolled(ada) == {str(ALGEBRA): ("masters", True)}


def test_the_other_services_announce_too(heard: list[Announcement], ada: User) -> None:
    make_course()
    enrollment = enroll("s-1")
    add_course_run(enrollment)

    api.link_program_enrollment_to_lms_user(enrollment, ada)
    api.unlink_program_enrollment(enrollment)
    api.enroll_in_masters_track(ada, ALGEBRA, "active")
    api.enroll_in_masters_track(ada, ALGEBRA, "active")
    deliver()

    assert heard == [
        Announcement("ada", str(ALGEBRA), "masters", True, created=True, skip_refund=False),
        Announcement("ada", str(ALGEBRA), "audit", False, created=False, skip_refund=True),
        Announcement("ada", str(ALGEBRA), "masters", True, created=False, skip_refund=False),
    ]
