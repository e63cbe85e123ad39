"""Rules of step 3.1: what the former user of a relinked enrollment gives up."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from tests.support.ids import ALGEBRA, BIOLOGY, OTHER_CURRICULUM
from tests.support.rows import add_course_run, enroll, enroll_in_course, make_course, make_role, make_user
from tests.support.runs import Link
from tests.support.stored import enrolled, roles_of, user_of

PAST, FUTURE = timezone.now() - timedelta(days=1), timezone.now() + timedelta(days=1)


@pytest.mark.parametrize(
    ("modes", "expected"),
    [
        pytest.param({}, "audit", id="a course with no mode rows offers only audit"),
        pytest.param({"audit": None}, "audit", id="audit"),
        pytest.param({"audit": FUTURE, "masters": None}, "audit", id="audit that expires later"),
        pytest.param({"masters": None, "verified": None}, "masters", id="no audit"),
        pytest.param({"audit": PAST, "masters": None}, "masters", id="expired audit"),
        pytest.param({"audit": PAST, "masters": PAST}, "masters", id="nothing but expired modes"),
        pytest.param({"honor": None}, "masters", id="honor is not audit"),
    ],
)
def test_the_former_user_leaves_the_course_and_goes_to_audit_where_it_is_offered(
    link: Link, modes: dict[str, datetime | None], expected: str
) -> None:
    ada, bob = make_user("ada"), make_user("bob")
    enrollment = enroll("s-1", ada)
    run = add_course_run(enrollment, make_course(modes=modes), enroll_in_course(ada))

    assert link({"s-1": "bob"}) == {}
    assert user_of(enrollment) == "bob"
    assert enrolled(ada) == {str(ALGEBRA): (expected, False)}
    assert enrolled(bob) == {str(ALGEBRA): ("masters", True)}
    run.refresh_from_db()
    assert run.course_enrollment
    assert run.course_enrollment.user == bob


@pytest.mark.parametrize("mode", ["audit", "honor", "verified", "professional"])
def test_the_former_user_goes_to_audit_from_any_mode(link: Link, mode: str) -> None:
    ada = make_user("ada")
    make_user("bob")
    add_course_run(enroll("s-1", ada), make_course(), enroll_in_course(ada, mode=mode))

    assert link({"s-1": "bob"}) == {}
    assert enrolled(ada) == {str(ALGEBRA): ("audit", False)}


def test_a_course_enrollment_that_is_inactive_goes_to_audit_all_the_same(link: Link) -> None:
    ada = make_user("ada")
    make_user("bob")
    add_course_run(enroll("s-1", ada), make_course(), enroll_in_course(ada, is_active=False), status="inactive")

    assert link({"s-1": "bob"}) == {}
    assert enrolled(ada) == {str(ALGEBRA): ("audit", False)}


def test_a_waiting_program_course_enrollment_costs_the_former_user_nothing(link: Link) -> None:
    ada = make_user("ada")
    make_user("bob")
    enroll_in_course(ada, make_course(), "audit")
    add_course_run(enroll("s-1", ada))

    assert link({"s-1": "bob"}) == {}
    assert enrolled(ada) == {str(ALGEBRA): ("audit", True)}


def test_each_course_run_goes_by_its_own_modes(link: Link) -> None:
    ada = make_user("ada")
    make_user("bob")
    make_course(ALGEBRA, {"audit": None})
    make_course(BIOLOGY, {"masters": None})
    enrollment = enroll("s-1", ada)
    for key in (ALGEBRA, BIOLOGY):
        add_course_run(enrollment, key, enroll_in_course(ada, key))

    assert link({"s-1": "bob"}) == {}
    assert enrolled(ada) == {str(ALGEBRA): ("audit", False), str(BIOLOGY): ("masters", False)}


def test_what_it_points_at_is_given_up_and_not_what_it_is_named_after(link: Link) -> None:
    ada, bob = make_user("ada"), make_user("bob")
    make_course(ALGEBRA, {"audit": None})
    make_course(BIOLOGY, {"masters": None})
    enroll_in_course(ada, ALGEBRA, "verified")
    add_course_run(enroll("s-1", ada), ALGEBRA, enroll_in_course(ada, BIOLOGY))

    assert link({"s-1": "bob"}) == {}
    assert enrolled(ada) == {str(ALGEBRA): ("verified", True), str(BIOLOGY): ("masters", False)}
    assert enrolled(bob) == {str(ALGEBRA): ("masters", True)}


def test_a_new_user_who_held_the_old_course_enrollment_gets_it_back_as_masters(link: Link) -> None:
    ada, bob = make_user("ada"), make_user("bob")
    add_course_run(enroll("s-1", ada), make_course(), enroll_in_course(bob, mode="verified"))

    assert link({"s-1": "bob"}) == {}
    assert enrolled(bob) == {str(ALGEBRA): ("masters", True)}
    assert enrolled(ada) == {}


def test_a_course_enrollment_that_serves_two_program_enrollments_is_given_up_by_either(link: Link) -> None:
    ada = make_user("ada")
    make_user("bob")
    enrollment = enroll_in_course(ada, make_course())
    add_course_run(enroll("s-1", ada), ALGEBRA, enrollment)
    other = add_course_run(enroll("s-2", ada, curriculum_uuid=OTHER_CURRICULUM), ALGEBRA, enrollment)

    assert link({"s-1": "bob"}) == {}
    assert enrolled(ada) == {str(ALGEBRA): ("audit", False)}
    other.refresh_from_db()
    assert other.course_enrollment == enrollment


def test_course_roles_stay_with_the_former_user(link: Link) -> None:
    ada, bob = make_user("ada"), make_user("bob")
    add_course_run(enroll("s-1", ada), make_course(), enroll_in_course(ada))
    make_role(ada)

    assert link({"s-1": "bob"}) == {}
    assert roles_of(ada) == {("Org", str(ALGEBRA), "staff")}
    assert roles_of(bob) == set()
