"""Undoing a job: every learner gets back what it had, except those whose rows changed since."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from linking.models import CourseAccessRole, CourseAccessRoleAssignment, CourseEnrollment, ProgramEnrollment
from tests.support.ids import ALGEBRA, BIOLOGY, OTHER_CURRICULUM, OTHER_PROGRAM
from tests.support.jobs import link, linked, outcomes, run_job, undo
from tests.support.populations import add_learners, add_learners_of_every_kind
from tests.support.rows import add_course_run, enroll, enroll_in_course, make_course, make_user
from tests.support.signals import announced
from tests.support.stored import enrolled, roles_of, user_of
from tests.support.tables import every_row
from tests.support.triggers import failing_writes
from worker import jobs
from worker.models import LearnerOutcome

if TYPE_CHECKING:
    from django.db.models import QuerySet

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("learners_per_subtask", [1, 9, 70])
def test_every_learner_gets_back_what_it_had(learners_per_subtask: int) -> None:
    mapping = add_learners_of_every_kind(70)
    before = every_row(but="modified")
    job = run_job(mapping, learners_per_subtask=learners_per_subtask)

    undoing = undo(job)

    assert every_row(but="modified") == before
    assert (undoing.state, undoing.counts, undoing.total) == ("done", {"undone": 30}, 30)
    assert (undoing.undoes_id, undoing.program_uuid) == (job.pk, job.program_uuid)
    taken = LearnerOutcome.objects.filter(job=job, outcome__in=["linked", "relinked"]).order_by("position")
    given = LearnerOutcome.objects.filter(job=undoing).order_by("position")
    columns = ("position", "external_user_key", "lms_username", "slice")
    assert list(given.values_list(*columns)) == list(taken.values_list(*columns))
    assert set(given.values_list("message", flat=True)) == {""}


def test_the_course_enrollments_that_an_undo_changes_are_announced_those_it_deletes_as_inactive() -> None:
    former, ada = make_user("former"), make_user("ada")
    make_course(ALGEBRA, {"audit": None})
    make_course(BIOLOGY)
    enrollment = enroll("s-1", former)
    kept = enroll_in_course(former)
    add_course_run(enrollment, ALGEBRA, kept)
    add_course_run(enrollment, BIOLOGY)
    enroll_in_course(ada, BIOLOGY, "honor")
    job = linked({"s-1": "ada"})

    def facts(course_enrollment: CourseEnrollment, created: bool, skip_refund: bool, **_: Any) -> tuple[Any, ...]:
        row = course_enrollment
        return row.user.username, row.course_id, row.is_active, row.mode, created, skip_refund

    with announced(facts) as signals:
        undo(job)

    assert sorted(signals) == [
        ("ada", ALGEBRA, False, "masters", False, True),
        ("ada", BIOLOGY, True, "honor", False, True),
        ("former", ALGEBRA, True, "masters", False, True),
    ]


def relink(enrollment: ProgramEnrollment) -> None:
    make_user("eve")
    link({enrollment.external_user_key or "": "eve"})


def enroll_former_user(enrollment: ProgramEnrollment) -> None:
    enroll(None, User.objects.get(username="former"), curriculum_uuid=enrollment.curriculum_uuid)


def delete_former_user(enrollment: ProgramEnrollment) -> None:
    in_course("former").delete()
    make_user("other")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM auth_user WHERE username = 'former'")


def add_other_course_run(enrollment: ProgramEnrollment) -> None:
    make_course(BIOLOGY)
    add_course_run(enrollment, BIOLOGY, enroll_in_course(enrollment.user or make_user("nobody"), BIOLOGY))


def use_in_other_program(enrollment: ProgramEnrollment) -> None:
    add_course_run(enroll("t-1", program_uuid=OTHER_PROGRAM), ALGEBRA)
    linked({"t-1": "ada"}, program=OTHER_PROGRAM)


def remove_role(_: ProgramEnrollment) -> None:
    CourseAccessRole.objects.filter(user__username="ada").delete()


def assign_role_again(enrollment: ProgramEnrollment) -> None:
    CourseAccessRoleAssignment.objects.create(enrollment=enrollment.program_course_enrollments.get(), role="staff")


def in_course(username: str) -> "QuerySet[CourseEnrollment]":
    return CourseEnrollment.objects.filter(user__username=username)


def this(enrollment: ProgramEnrollment) -> "QuerySet[ProgramEnrollment]":
    return ProgramEnrollment.objects.filter(pk=enrollment.pk)


IN_ALGEBRA = f"the course enrollment in {ALGEBRA}"
CHANGES: list[tuple[Callable[[ProgramEnrollment], object], str]] = [
    (relink, "the program enrollment is linked to account username=eve"),
    (lambda it: this(it).update(user=None), "the program enrollment is linked to no account"),
    (lambda it: this(it).update(external_user_key="s-99"), "the program enrollment has another external user key"),
    (lambda it: it.delete(), "the program enrollment no longer exists"),
    (enroll_former_user, "the former account username=former holds another program enrollment of the curriculum"),
    (delete_former_user, "the former account no longer exists; a course enrollment no longer exists"),
    (
        lambda _: in_course("ada").update(is_active=False),
        f"{IN_ALGEBRA} was active in mode masters, is inactive in mode masters",
    ),
    (
        lambda _: in_course("former").update(mode="verified"),
        f"{IN_ALGEBRA} was inactive in mode audit, is inactive in mode verified",
    ),
    (lambda _: in_course("former").delete(), "a course enrollment no longer exists"),
    (
        lambda it: it.program_course_enrollments.update(course_enrollment=None),
        f"course run {ALGEBRA} points at another course enrollment",
    ),
    (
        lambda it: it.program_course_enrollments.all().delete(),
        "a course run is no longer part of the program enrollment",
    ),
    (add_other_course_run, f"course run {BIOLOGY} was added to the program enrollment"),
    (remove_role, f"role staff on {ALGEBRA} is no longer held"),
    (assign_role_again, f"role staff on {ALGEBRA} is assigned again"),
    (use_in_other_program, f"another program enrollment uses {IN_ALGEBRA}"),
]


@pytest.mark.parametrize(("change", "fault"), CHANGES, ids=[fault for _, fault in CHANGES])
def test_a_learner_whose_rows_changed_since_is_not_undone_and_the_message_says_what_changed(
    change: Callable[[ProgramEnrollment], object], fault: str
) -> None:
    make_course(ALGEBRA, {"audit": None})
    former, _ = make_user("former"), make_user("ada")
    enrollment = enroll("s-1", former)
    add_course_run(enrollment, ALGEBRA, enroll_in_course(former), roles=("staff",))
    bob, neighbour = make_user("bob"), enroll("s-2")
    add_course_run(neighbour, ALGEBRA, roles=("staff",))
    job = linked({"s-1": "ada", "s-2": "bob"}, learners_per_subtask=2)
    enrollment.refresh_from_db()
    change(enrollment)
    before = every_row()
    (rehearsed,) = undo(job, dry_run=True).learners.filter(external_user_key="s-1")
    assert every_row() == before

    undoing = undo(job)

    assert outcomes(undoing) == {"s-1": "changed_since", "s-2": "undone"}
    (left,) = undoing.learners.filter(external_user_key="s-1")
    assert left.message == rehearsed.message == f"not undone, changed since: {fault}"
    assert jobs.error_dictionary(undoing) == ({"s-1": left.message}, False)
    assert (user_of(neighbour), enrolled(bob), roles_of(bob)) == (None, {}, set())
    after = every_row()
    for table, added in (
        ("student_courseaccessrole", []),
        ("student_courseenrollment", []),
        ("program_enrollments_programenrollment", [None]),
    ):
        assert [row["user_id"] for row in before[table] if row not in after[table]] == [bob.pk]
        assert [row["user_id"] for row in after[table] if row not in before[table]] == added


def test_a_course_enrollment_that_others_used_before_the_job_does_not_prevent_undo() -> None:
    make_course()
    ada = make_user("ada")
    held = enroll_in_course(ada, mode="audit")
    add_course_run(enroll("t-1", ada, program_uuid=OTHER_PROGRAM), ALGEBRA, held)
    add_course_run(enroll("s-1"), ALGEBRA)
    before = every_row(but="modified")
    job = linked({"s-1": "ada"})

    assert undo(job).counts == {"undone": 1}
    assert every_row(but="modified") == before


def test_a_later_learner_that_stays_keeps_those_before_it_that_it_builds_upon() -> None:
    users = [make_user(f"u-{n}") for n in range(3)]
    enrollments = [enroll("s-0", users[0]), enroll("s-1", users[1]), enroll("s-2")]
    job = linked({"s-1": "u-2", "s-0": "u-1", "s-2": "u-0"})
    make_user("eve")
    link({"s-2": "eve"})
    enroll("s-9", users[0])

    undoing = undo(job)

    # s-2 went on to somebody else, s-0 cannot have u-0 back, and so s-1 cannot have u-1 back.
    assert outcomes(undoing) == dict.fromkeys(["s-1", "s-0", "s-2"], "changed_since")
    assert [user_of(enrollment) for enrollment in enrollments] == ["u-1", "u-2", "eve"]
    assert undoing.learners.get(external_user_key="s-1").message == (
        "not undone, changed since: the former account username=u-1 holds another program enrollment of the curriculum"
    )


def test_a_learner_that_the_database_refuses_ends_alone_and_the_pointers_given_back_before_do_not_count() -> None:
    """Both halves of a slice that had to be halved: the second must know what the first has given back."""
    make_course(ALGEBRA, {"audit": None})
    shared, ada, bob = make_user("shared"), make_user("ada"), make_user("bob")
    held = enroll_in_course(shared)
    enrollments = [enroll("a-1", shared), enroll("a-2", shared, curriculum_uuid=OTHER_CURRICULUM)]
    for enrollment in enrollments:
        add_course_run(enrollment, ALGEBRA, held)
    (first, first_name), (last, last_name) = add_learners(2).items()
    job = linked({"a-1": "ada", first: first_name, "a-2": "bob", last: last_name}, learners_per_subtask=4)
    refused = ProgramEnrollment.objects.get(external_user_key=last)

    with failing_writes("program_enrollments_programenrollment", "id", refused.pk):
        undoing = undo(job)

    outcome = outcomes(undoing)
    assert outcome.pop(last) == "conflict"
    assert set(outcome.values()) == {"undone"}
    assert (enrolled(shared), enrolled(ada), enrolled(bob)) == ({str(ALGEBRA): ("masters", True)}, {}, {})
    assert [user_of(enrollment) for enrollment in enrollments] == ["shared", "shared"]
    assert user_of(refused) is not None
