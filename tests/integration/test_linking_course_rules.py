"""Rules of step 3.2: what linking does to the user's course enrollments."""

import logging

import pytest
from django.contrib.auth.models import User
from opaque_keys.edx.keys import CourseKey

from linking.models import CourseEnrollment
from tests.support.ids import ALGEBRA, BIOLOGY
from tests.support.rows import add_course_run, enroll, enroll_in_course, make_course
from tests.support.runs import Link, link_by_engine
from tests.support.stored import enrolled

OTHER_MODES = ["verified", "professional", "no-id-professional", "credit", "executive-education"]


def test_a_user_is_enrolled_in_the_masters_track_of_every_course_run(link: Link, ada: User) -> None:
    enrollment = enroll("s-1")
    runs = [add_course_run(enrollment, make_course(key)) for key in (ALGEBRA, BIOLOGY)]

    assert link({"s-1": "ada"}) == {}
    assert enrolled(ada) == {str(ALGEBRA): ("masters", True), str(BIOLOGY): ("masters", True)}
    for run in runs:
        run.refresh_from_db()
        assert run.course_enrollment == CourseEnrollment.objects.get(user=ada, course_id=run.course_key)


@pytest.mark.parametrize(("status", "is_active"), [("active", True), ("inactive", False)])
def test_a_new_one_is_masters_although_not_offered(link: Link, status: str, ada: User, *, is_active: bool) -> None:
    add_course_run(enroll("s-1"), make_course(modes={"audit": None}), status=status)

    assert link({"s-1": "ada"}) == {}
    assert enrolled(ada) == {str(ALGEBRA): ("masters", is_active)}


@pytest.mark.parametrize(
    ("mode", "is_active", "status", "expected"),
    [
        # Actively enrolled: audit and honor become masters, masters stays.
        ("audit", True, "active", ("masters", True)),
        ("honor", True, "active", ("masters", True)),
        ("masters", True, "active", ("masters", True)),
        # Not actively enrolled: reactivated as masters, whatever it was.
        ("audit", False, "active", ("masters", True)),
        ("honor", False, "active", ("masters", True)),
        ("masters", False, "active", ("masters", True)),
        ("verified", False, "active", ("masters", True)),
        ("professional", False, "active", ("masters", True)),
        # A masters enrollment of an inactive program course enrollment ends inactive.
        ("audit", True, "inactive", ("masters", False)),
        ("honor", True, "inactive", ("masters", False)),
        ("masters", True, "inactive", ("masters", False)),
        ("masters", False, "inactive", ("masters", False)),
        ("verified", False, "inactive", ("masters", False)),
        # Any other mode stays.
        *((mode, True, status, (mode, True)) for mode in OTHER_MODES for status in ("active", "inactive")),
    ],
)
def test_an_existing_one_becomes(
    link: Link, ada: User, mode: str, *, is_active: bool, status: str, expected: tuple[str, bool]
) -> None:
    enrollment = enroll_in_course(ada, make_course(), mode, is_active=is_active)
    run = add_course_run(enroll("s-1"), status=status)

    assert link({"s-1": "ada"}) == {}
    assert enrolled(ada) == {str(ALGEBRA): expected}
    run.refresh_from_db()
    assert run.course_enrollment == enrollment


@pytest.mark.parametrize(("mode", "errors"), [("verified", 1), ("audit", 0)])
def test_a_mode_that_is_not_changed_is_an_error_in_the_log(
    log: pytest.LogCaptureFixture, mode: str, errors: int, ada: User
) -> None:
    enroll_in_course(ada, make_course(), mode)
    add_course_run(enroll("s-1"))

    assert link_by_engine({"s-1": "ada"}) == {}
    records = [record for record in log.records if record.levelno >= logging.WARNING]
    assert [record.levelno for record in records] == [logging.ERROR] * errors
    assert all(text in record.getMessage() for record in records for text in (mode, str(ALGEBRA)))


def test_course_keys_that_differ_in_case_are_different_course_runs(link: Link, ada: User) -> None:
    make_course(ALGEBRA)
    add_course_run(enroll("s-1"), CourseKey.from_string(str(ALGEBRA).replace("Algebra", "algebra")))

    assert link({"s-1": "ada"}) == {"s-1": "NonExistentCourseError"}
    assert enrolled(ada) == {}


def test_an_old_style_course_key_is_a_course_key(link: Link, ada: User) -> None:
    key = make_course(CourseKey.from_string("Org/Algebra/2012"))
    add_course_run(enroll("s-1"), key)

    assert link({"s-1": "ada"}) == {}
    assert enrolled(ada) == {"Org/Algebra/2012": ("masters", True)}


def test_course_enrollments_outside_the_program_are_left_alone(link: Link, ada: User, bob: User) -> None:
    for key in (ALGEBRA, BIOLOGY):
        make_course(key)
    enroll_in_course(ada, BIOLOGY, "audit")
    enroll_in_course(bob, ALGEBRA, "audit")
    add_course_run(enroll("s-1"), ALGEBRA)

    assert link({"s-1": "ada"}) == {}
    assert enrolled(ada) == {str(ALGEBRA): ("masters", True), str(BIOLOGY): ("audit", True)}
    assert enrolled(bob) == {str(ALGEBRA): ("audit", True)}


def test_a_course_enrollment_of_another_user_is_replaced_by_the_own(link: Link, ada: User, bob: User) -> None:
    run = add_course_run(enroll("s-1"), make_course(), enroll_in_course(bob, ALGEBRA, "audit"))

    assert link({"s-1": "ada"}) == {}
    run.refresh_from_db()
    assert run.course_enrollment
    assert run.course_enrollment.user == ada
    assert enrolled(bob) == {str(ALGEBRA): ("audit", True)}
