"""Undo with rows of the ledger that other releases wrote."""

from typing import Any

import pytest

from linking.models import CourseAccessRoleAssignment, CourseEnrollment
from tests.support.ids import ALGEBRA, BIOLOGY
from tests.support.jobs import outcomes, run_job, undo
from tests.support.rows import add_course_run, enroll, enroll_in_course, make_course, make_user
from tests.support.tables import every_row
from worker.models import LearnerOutcome, LinkingJob

pytestmark = pytest.mark.django_db(transaction=True)


def linked_by_version_1() -> tuple[LinkingJob, dict[str, list[dict[str, Any]]]]:
    """Link two learners, with rows of the ledger as the first release wrote them; return every row as before, too."""
    make_course(ALGEBRA, {"audit": None})
    make_course(BIOLOGY)
    former, ada, bob = make_user("former"), make_user("ada"), make_user("bob")
    relinked, linked = enroll("s-1", former), enroll("s-2")
    left = enroll_in_course(former, ALGEBRA)
    audited = enroll_in_course(bob, BIOLOGY, "audit")
    algebra = add_course_run(relinked, ALGEBRA, left, roles=("staff",))
    biology = add_course_run(linked, BIOLOGY)
    assignment = CourseAccessRoleAssignment.objects.get()
    before = every_row(but="modified")
    job = run_job({"s-1": "ada", "s-2": "bob"}, learners_per_subtask=2)

    entered = CourseEnrollment.objects.get(user=ada)
    changes: dict[str, dict[str, Any]] = {
        "s-1": {
            "enrollment": relinked.pk,
            "user": [former.pk, ada.pk],
            "course_enrollments": [
                [left.pk, [True, "masters"], [False, "audit"]],
                [entered.pk, None, [True, "masters"]],
            ],
            "courses": [[algebra.pk, left.pk, entered.pk, algebra.modified.isoformat()]],
            "roles": [[algebra.pk, "staff", assignment.pk, True, assignment.created.isoformat()]],
        },
        "s-2": {
            "enrollment": linked.pk,
            "user": [None, bob.pk],
            "course_enrollments": [[audited.pk, [True, "audit"], [True, "masters"]]],
            "courses": [[biology.pk, None, audited.pk, biology.modified.isoformat()]],
            "roles": [],
        },
    }
    for key, change in changes.items():
        learner = LearnerOutcome.objects.filter(job=job, external_user_key=key)
        assert learner.get().before == {"version": 2} | change
        assert learner.update(before=change) == 1
    return job, before


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_job_of_the_first_release_is_undone(*, dry_run: bool) -> None:
    job, before = linked_by_version_1()
    linked = every_row(but="modified")

    undoing = undo(job, dry_run=dry_run)

    assert outcomes(undoing) == {"s-1": "undone", "s-2": "undone"}
    assert every_row(but="modified") == (linked if dry_run else before)


def test_a_change_that_a_later_release_wrote_is_left_as_it_is() -> None:
    job, _ = linked_by_version_1()
    learner = LearnerOutcome.objects.get(job=job, external_user_key="s-1")
    learner.before = {**(learner.before or {}), "version": 3}
    learner.save()

    undoing = undo(job)

    assert outcomes(undoing) == {"s-1": "error", "s-2": "undone"}
    assert undoing.learners.get(external_user_key="s-1").message == (
        "ValueError: the ledger has a change of version 3: a newer release must undo it"
    )
