"""Rules of step 4 and of serial equivalence: learners that share rows, and the rows that a failing one leaves."""

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction

from linking.models import ProgramEnrollment
from tests.support.ids import ALGEBRA, BIOLOGY, OTHER_CURRICULUM
from tests.support.rows import add_course_run, enroll, enroll_in_course, make_course
from tests.support.runs import Link, link_by_engine
from tests.support.stored import enrolled, user_of

pytestmark = pytest.mark.usefixtures("ada", "bob")


def test_the_second_of_two_keys_for_one_enrollment_finds_what_the_first_left(link: Link) -> None:
    enrollment = enroll("s-1")

    assert link({"s-1": "ada", "S-1": "bob"}) == {}
    assert user_of(enrollment) == "bob"
    assert link({"S-1": "ada", "s-1": "ada"}).keys() == {"s-1"}


@pytest.mark.parametrize(
    ("keys", "failing", "taken_by"), [(("s-1", "s-2"), set(), "ada"), (("s-2", "s-1"), {"s-2"}, None)]
)
def test_a_user_that_one_learner_gives_up_goes_to_a_later_learner_only(
    link: Link, keys: tuple[str, str], failing: set[str], taken_by: str | None, ada: User
) -> None:
    giver, taker = enroll("s-1", ada), enroll("s-2")

    assert link({key: {"s-1": "bob", "s-2": "ada"}[key] for key in keys}).keys() == failing
    assert (user_of(giver), user_of(taker)) == ("bob", taken_by)


def test_a_swap_inside_a_curriculum_fails_on_both_sides(link: Link, ada: User, bob: User) -> None:
    one, other = enroll("s-1", ada), enroll("s-2", bob)

    errors = link({"s-1": "bob", "s-2": "ada"})

    assert {key: message.partition(":")[0] for key, message in errors.items()} == dict.fromkeys(
        ("s-1", "s-2"), "IntegrityError"
    )
    assert (user_of(one), user_of(other)) == ("ada", "bob")


def test_a_swap_across_curricula_succeeds(link: Link, ada: User, bob: User) -> None:
    one = enroll("s-1", ada)
    other = enroll("s-2", bob, curriculum_uuid=OTHER_CURRICULUM)

    assert link({"s-1": "bob", "s-2": "ada"}) == {}
    assert (user_of(one), user_of(other)) == ("bob", "ada")


def test_a_collision_outside_the_mapping_has_the_message_of_the_database(link: Link, ada: User) -> None:
    enroll("elsewhere", ada)
    enrollment = enroll("s-1")
    with pytest.raises(IntegrityError) as collision, transaction.atomic():
        ProgramEnrollment.objects.filter(pk=enrollment.pk).update(user=ada)

    assert link({"s-1": "ada"}) == {"s-1": f"IntegrityError: {collision.value}"}


def test_a_learner_whose_course_does_not_exist_fails_alone(link: Link, ada: User, bob: User) -> None:
    make_course(ALGEBRA)
    failing, linked = enroll("s-1"), enroll("s-2")
    add_course_run(failing, ALGEBRA)
    add_course_run(failing, BIOLOGY)
    add_course_run(linked, ALGEBRA)

    assert link({"s-1": "ada", "s-2": "bob"}) == {"s-1": "NonExistentCourseError"}
    assert (user_of(failing), user_of(linked)) == (None, "bob")
    assert (enrolled(ada), enrolled(bob)) == ({}, {str(ALGEBRA): ("masters", True)})


def test_a_failing_relink_leaves_the_old_user_linked_and_enrolled(link: Link, ada: User, bob: User) -> None:
    enrollment = enroll("s-1", ada)
    add_course_run(enrollment, make_course(), enroll_in_course(ada))
    add_course_run(enrollment, BIOLOGY)

    assert link({"s-1": "bob"}) == {"s-1": "NonExistentCourseError"}
    assert user_of(enrollment) == "ada"
    assert (enrolled(ada), enrolled(bob)) == ({str(ALGEBRA): ("masters", True)}, {})


def test_an_unexpected_status_fails_the_learner_after_the_look_for_the_course(link: Link) -> None:
    add_course_run(enroll("s-1"), make_course(), status="paused")
    add_course_run(enroll("s-2"), BIOLOGY, status="paused")

    assert link({"s-1": "ada", "s-2": "bob"}) == {
        "s-1": "ValueError: unexpected program course enrollment status: paused",
        "s-2": "NonExistentCourseError",
    }


def test_a_user_held_elsewhere_is_reported_before_a_missing_course(link: Link, ada: User) -> None:
    enroll("elsewhere", ada)
    add_course_run(enroll("s-1"), BIOLOGY)

    assert link({"s-1": "ada"})["s-1"].startswith("IntegrityError: ")


def test_a_stored_course_key_that_is_none_fails_its_own_learner_only() -> None:
    # On the engine alone: the reference reads rows through the model, whose field raises on such a key.
    spoiled, linked = enroll("s-1"), enroll("s-2")
    make_course()
    run = add_course_run(spoiled)
    add_course_run(linked)
    sql = "UPDATE program_enrollments_programcourseenrollment SET course_key = 'no course key' WHERE id = %s"
    with connection.cursor() as cursor:  # The model would refuse it.
        cursor.execute(sql, [run.pk])

    assert link_by_engine({"s-1": "ada", "s-2": "bob"}) == {"s-1": "NonExistentCourseError"}
    assert (user_of(spoiled), user_of(linked)) == (None, "bob")
