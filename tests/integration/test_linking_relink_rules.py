"""Rules of step 3.1: what the former user of a relinked enrollment gives up."""

from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from opaque_keys.edx.keys import CourseKey

from tests.support.ids import ALGEBRA, BIOLOGY, OTHER_CURRICULUM
from tests.support.rows import add_course_run, enroll, enroll_in_course, make_course, make_role
from tests.support.runs import Link
from tests.support.stored import enrolled, roles_of, user_of

pytestmark = pytest.mark.usefixtures("ada", "bob")

PAST, FUTURE = timezone.now() - timedelta(days=1), timezone.now() + timedelta(days=1)


@pytest.mark.parametrize(
    ("modes", "expected"),
    [
        pytest.param({}, "audit", id="a course with no mode rows offers only audit"),
        pytest.param({"audit": None}, "audit", id="audit"),
        pytest.param({"audit": FUTURE, "masters": None}, "audit", id="audit that expires later"),
        pytest.param({"masters": None, "verified": None}, "masters", id="no audit"),
        pytest.param({"audit": PAST, "masters": None}, "masters", id="expired audit"),
        pytest.param({"masters": PAST, "verified": PAST}, "audit", id="nothing but expired modes"),
        pytest.param({"credit": None}, "audit", id="nothing but credit"),
        pytest.param({"audit": PAST, "credit": FUTURE}, "audit", id="expired audit and credit"),
        pytest.param({"credit": None, "verified": None}, "masters", id="credit and another mode"),
        pytest.param({"honor": None}, "masters", id="honor is not audit"),
    ],
)
def test_the_former_user_leaves_the_course_and_goes_to_audit_where_it_is_offered(
    link: Link, modes: dict[str, datetime | None], expected: str, ada: User, bob: User
) -> None:
    enrollment = enroll("s-1", ada)
    run = add_course_run(enrollment, make_course(modes=modes), enroll_in_course(ada))
    make_role(ada)

    assert link({"s-1": "bob"}) == {}
    assert (roles_of(ada), roles_of(bob)) == ({("Org", str(ALGEBRA), "staff")}, set())
    assert user_of(enrollment) == "bob"
    assert enrolled(ada) == {str(ALGEBRA): (expected, False)}
    assert enrolled(bob) == {str(ALGEBRA): ("masters", True)}
    run.refresh_from_db()
    assert run.course_enrollment
    assert run.course_enrollment.user == bob


@pytest.mark.parametrize(
    ("mode", "is_active"),
    [("audit", True), ("honor", True), ("verified", True), ("professional", True), ("masters", False)],
)
def test_the_former_user_goes_to_audit_from_any_mode(link: Link, mode: str, ada: User, *, is_active: bool) -> None:
    course_enrollment = enroll_in_course(ada, make_course(), mode, is_active=is_active)
    add_course_run(enroll("s-1", ada), ALGEBRA, course_enrollment, status="active" if is_active else "inactive")

    assert link({"s-1": "bob"}) == {}
    assert enrolled(ada) == {str(ALGEBRA): ("audit", False)}


def test_a_waiting_program_course_enrollment_costs_the_former_user_nothing(link: Link, ada: User) -> None:
    enroll_in_course(ada, make_course(), "audit")
    add_course_run(enroll("s-1", ada))

    assert link({"s-1": "bob"}) == {}
    assert enrolled(ada) == {str(ALGEBRA): ("audit", True)}


@pytest.mark.parametrize(
    ("pointed_at", "expected"),
    [
        ((ALGEBRA, BIOLOGY), {ALGEBRA: ("audit", False), BIOLOGY: ("masters", False)}),
        ((BIOLOGY,), {ALGEBRA: ("masters", True), BIOLOGY: ("masters", False)}),
    ],
    ids=["each by its own modes", "by the course enrollment it points at, not by its course key"],
)
def test_a_course_run_gives_up_the_course_enrollment_that_it_points_at(
    link: Link, pointed_at: tuple[CourseKey, ...], expected: dict[CourseKey, tuple[str, bool]], ada: User, bob: User
) -> None:
    make_course(ALGEBRA, {"audit": None})
    make_course(BIOLOGY, {"masters": None})
    enrollment = enroll("s-1", ada)
    held = {key: enroll_in_course(ada, key) for key in (ALGEBRA, BIOLOGY)}
    for course, key in zip((ALGEBRA, BIOLOGY), pointed_at, strict=False):
        add_course_run(enrollment, course, held[key])

    assert link({"s-1": "bob"}) == {}
    assert enrolled(ada) == {str(key): state for key, state in expected.items()}
    assert enrolled(bob)[str(ALGEBRA)] == ("masters", True)


def test_a_new_user_who_held_the_course_enrollment_gets_it_back(link: Link, ada: User, bob: User) -> None:
    add_course_run(enroll("s-1", ada), make_course(), enroll_in_course(bob, mode="verified"))

    assert link({"s-1": "bob"}) == {}
    assert enrolled(bob) == {str(ALGEBRA): ("masters", True)}
    assert enrolled(ada) == {}


def test_a_course_enrollment_that_serves_two_program_enrollments_is_given_up_by_either(link: Link, ada: User) -> None:
    enrollment = enroll_in_course(ada, make_course())
    add_course_run(enroll("s-1", ada), ALGEBRA, enrollment)
    other = add_course_run(enroll("s-2", ada, curriculum_uuid=OTHER_CURRICULUM), ALGEBRA, enrollment)

    assert link({"s-1": "bob"}) == {}
    assert enrolled(ada) == {str(ALGEBRA): ("audit", False)}
    other.refresh_from_db()
    assert other.course_enrollment == enrollment
