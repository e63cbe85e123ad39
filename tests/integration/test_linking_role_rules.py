"""Rules of step 3.3: course roles that were assigned in advance."""

import logging
from contextlib import nullcontext

import pytest
from django.contrib.auth.models import User
from django.db import connection
from opaque_keys.edx.keys import CourseKey

from linking.models import CourseAccessRoleAssignment
from tests.support.ids import ALGEBRA, BIOLOGY, OTHER_CURRICULUM, PROGRAM
from tests.support.rows import add_course_run, enroll, enroll_in_course, make_course, make_role, make_user
from tests.support.runs import Link, link_by_engine, results_by_slices
from tests.support.stored import assignments_left, enrolled, roles_of, user_of
from tests.support.triggers import failing_writes

pytestmark = pytest.mark.usefixtures("ada", "bob")

LONG_ORG = CourseKey.from_string(f"course-v1:{'Org' * 22}+Algebra+2024")


def warnings_of(mapping: dict[str, str]) -> list[list[str]]:
    """Run the engine and return the warnings of each learner."""
    return [result.warnings for result in results_by_slices(PROGRAM, mapping, 1000)]


@pytest.mark.parametrize(
    ("status", "held"), [("active", ()), ("active", ("staff",)), ("active", ("instructor",)), ("inactive", ())]
)
def test_an_assigned_role_is_granted_once_and_the_assignment_deleted(
    link: Link, status: str, held: tuple[str, ...], ada: User
) -> None:
    add_course_run(enroll("s-1"), make_course(), status=status, roles=("staff",))
    for role in held:
        make_role(ada, role=role)

    assert link({"s-1": "ada"}) == {}
    assert roles_of(ada) == {("Org", str(ALGEBRA), role) for role in ("staff", *held)}
    assert assignments_left() == set()


def test_a_role_is_granted_where_it_was_assigned_and_nowhere_else(link: Link, ada: User) -> None:
    enrollment = enroll("s-1")
    add_course_run(enrollment, make_course(ALGEBRA))
    add_course_run(enrollment, make_course(BIOLOGY), roles=("staff",))
    add_course_run(enroll("s-2"), ALGEBRA, roles=("staff",))

    assert link({"s-1": "ada"}) == {}
    assert roles_of(ada) == {("Org", str(BIOLOGY), "staff")}
    assert assignments_left() == {(str(ALGEBRA), "staff")}


@pytest.mark.parametrize("is_refused", [False, True])
def test_a_role_of_two_enrollments_is_granted_once_or_refused(link: Link, ada: User, *, is_refused: bool) -> None:
    make_course()
    add_course_run(enroll("s-1"), roles=("staff",))
    add_course_run(enroll("s-2", curriculum_uuid=OTHER_CURRICULUM), roles=("staff",))

    with failing_writes("student_courseaccessrole", "user_id", ada.pk) if is_refused else nullcontext():
        assert link({"s-1": "ada", "s-2": "ada"}) == {}

    assert roles_of(ada) == (set() if is_refused else {("Org", str(ALGEBRA), "staff")})
    assert CourseAccessRoleAssignment.objects.count() == (2 if is_refused else 0)


def test_an_unknown_role_stays_assigned_and_does_not_fail_the_learner(link: Link, ada: User) -> None:
    enrollment = enroll("s-1")
    add_course_run(enrollment, make_course(), roles=("wizard", "staff"))

    assert link({"s-1": "ada"}) == {}
    assert user_of(enrollment) == "ada"
    assert roles_of(ada) == {("Org", str(ALGEBRA), "staff")}
    assert assignments_left() == {(str(ALGEBRA), "wizard")}


@pytest.mark.parametrize(
    ("role", "is_active", "word", "level"),
    [("wizard", True, "wizard", logging.ERROR), ("staff", False, "inactive", logging.WARNING)],
)
def test_a_role_that_is_not_granted_is_a_warning_and_in_the_log(
    log: pytest.LogCaptureFixture, role: str, word: str, level: int, *, is_active: bool
) -> None:
    make_user("eve", is_active=is_active)
    add_course_run(enroll("s-1"), make_course(), roles=(role,))

    ((warning,),) = warnings_of({"s-1": "eve"})
    assert word in warning
    assert str(ALGEBRA) in warning
    assert [record.levelno for record in log.records if word in record.getMessage()] == [level]


def test_an_inactive_user_is_linked_and_enrolled_but_granted_nothing(link: Link) -> None:
    eve = make_user("eve", is_active=False)
    enrollment = enroll("s-1")
    add_course_run(enrollment, make_course(), roles=("staff",))

    assert link({"s-1": "eve"}) == {}
    assert user_of(enrollment) == "eve"
    assert enrolled(eve) == {str(ALGEBRA): ("masters", True)}
    assert roles_of(eve) == set()
    assert assignments_left() == {(str(ALGEBRA), "staff")}


@pytest.mark.parametrize("role", ["staff", "instructor"])
def test_roles_that_stay_with_the_former_user_are_a_warning(role: str, ada: User) -> None:
    add_course_run(enroll("s-1", ada), make_course(), enroll_in_course(ada))
    make_role(ada, role=role)

    ((warning,),) = warnings_of({"s-1": "bob"})
    assert role in warning
    assert str(ALGEBRA) in warning


@pytest.mark.parametrize("held", [False, True])
def test_roles_stay_with_a_user_who_was_linked_by_the_same_mapping_too(ada: User, *, held: bool) -> None:
    add_course_run(enroll("s-1"), make_course(), roles=() if held else ("staff",))
    if held:
        make_role(ada)

    first, (warning,) = warnings_of({"s-1": "ada", "S-1": "bob"})
    assert first == []  # A role that is granted is no warning.
    assert "staff" in warning


def test_a_former_user_without_roles_is_no_warning(ada: User) -> None:
    add_course_run(enroll("s-1", ada), make_course(ALGEBRA), enroll_in_course(ada))
    make_role(ada, make_course(BIOLOGY))

    assert warnings_of({"s-1": "bob"}) == [[]]


def test_a_role_is_not_granted_where_the_learner_fails(link: Link, ada: User) -> None:
    enrollment = enroll("s-1")
    add_course_run(enrollment, make_course(ALGEBRA), roles=("staff",))
    add_course_run(enrollment, BIOLOGY)

    assert link({"s-1": "ada"}) == {"s-1": "NonExistentCourseError"}
    assert roles_of(ada) == set()
    assert assignments_left() == {(str(ALGEBRA), "staff")}


def test_a_role_that_the_database_refuses_stays_assigned_and_all_else_is_done(link: Link, ada: User, bob: User) -> None:
    make_course()
    enrollments = [enroll("s-1"), enroll("s-2")]
    for enrollment in enrollments:
        add_course_run(enrollment, roles=("staff",))

    with failing_writes("student_courseaccessrole", "user_id", ada.pk):
        assert link({"s-1": "ada", "s-2": "bob"}) == {}

    assert [user_of(enrollment) for enrollment in enrollments] == ["ada", "bob"]
    assert enrolled(ada) == enrolled(bob) == {str(ALGEBRA): ("masters", True)}
    assert (roles_of(ada), roles_of(bob)) == (set(), {("Org", str(ALGEBRA), "staff")})
    assert assignments_left() == {(str(ALGEBRA), "staff")}


@pytest.mark.parametrize("is_granted", [False, True], ids=["a refused role", "an assignment that cannot be deleted"])
def test_one_role_of_a_learner_that_fails_leaves_the_other(link: Link, ada: User, *, is_granted: bool) -> None:
    enrollment = enroll("s-1")
    run = add_course_run(enrollment, make_course(ALGEBRA), roles=("staff",))
    add_course_run(enrollment, make_course(BIOLOGY), roles=("staff",))
    if is_granted:
        failing = failing_writes("program_enrollments_courseaccessroleassignment", "enrollment_id", run.pk, on="DELETE")
    else:
        failing = failing_writes("student_courseaccessrole", "course_id", str(ALGEBRA))

    with failing:
        assert link({"s-1": "ada"}) == {}

    assert roles_of(ada) == {("Org", str(BIOLOGY), "staff")}
    assert assignments_left() == {(str(ALGEBRA), "staff")}


def test_a_refused_role_is_a_warning_and_an_error_in_the_log(log: pytest.LogCaptureFixture, ada: User) -> None:
    add_course_run(enroll("s-1"), make_course(), roles=("staff",))

    with failing_writes("student_courseaccessrole", "user_id", ada.pk, text="not today"):
        ((warning,),) = warnings_of({"s-1": "ada"})

    assert "not today" in warning
    assert [record.levelno for record in log.records if "not today" in record.getMessage()] == [logging.ERROR]


def test_an_org_too_long_for_a_role_costs_the_role_at_most(ada: User) -> None:
    enrollment = enroll("s-1")
    add_course_run(enrollment, make_course(LONG_ORG), roles=("staff",))

    assert link_by_engine({"s-1": "ada"}) == {}
    assert user_of(enrollment) == "ada"
    # Servers hold columns to their length, SQLite does not.
    refused = connection.vendor != "sqlite"
    assert roles_of(ada) == (set() if refused else {(LONG_ORG.org, str(LONG_ORG), "staff")})
    assert assignments_left() == ({(str(LONG_ORG), "staff")} if refused else set())
