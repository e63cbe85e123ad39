"""History rows of what linking and undo change beside an LMS."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import connection

from linking import api
from linking.engine.lms_tables import COURSE_ENROLLMENT
from linking.models import CourseEnrollment
from linking.sql.statements import aware
from tests.support.ids import ALGEBRA, BIOLOGY
from tests.support.jobs import linked, run, run_job, submit, undo
from tests.support.lms.history import (
    Row,
    RowsById,
    assert_history_is_complete,
    history,
    role_history,
    rows_with_history,
)
from tests.support.rows import add_course_run, enroll, enroll_in_course, make_course, make_role, make_user
from tests.support.runs import link_by_engine
from tests.support.stored import roles_of

pytestmark = [
    pytest.mark.skipif("not config.getoption('lms')", reason="a database of an LMS: --lms"),
    pytest.mark.django_db(transaction=True),
]

MASTERS = ("masters", 1)


def types(table: str) -> list[str]:
    """Return the types of the history rows of a table, the oldest first."""
    return [row["history_type"] for row in history(table)]


def states() -> list[tuple[Any, ...]]:
    """Return user, type, mode and activity of each history row of course enrollments, by user."""
    rows = [(row["user_id"], row["history_type"], row["mode"], row["is_active"]) for row in history(COURSE_ENROLLMENT)]
    return sorted(rows)


def without_history(before: RowsById) -> bool:
    """Return whether no row has changed, and none has history."""
    return rows_with_history() == before and not any(history(table) for table in before)


def test_a_first_link_is_recorded_with_full_copies_that_name_the_job(ada: User) -> None:
    add_course_run(enroll("s-1"), make_course())
    before = rows_with_history()
    began = datetime.now(UTC)

    job = linked({"s-1": "ada"})

    assert_history_is_complete(before)
    assert [types(table) for table in before] == [["~"], ["~"], ["+"]]
    (course_enrollment,) = history(COURSE_ENROLLMENT)
    assert re.fullmatch(r"[0-9a-f]{12}4[0-9a-f]{19}", UUID(str(course_enrollment["history_id"])).hex)
    assert (course_enrollment["user_id"], course_enrollment["mode"], course_enrollment["is_active"]) == (
        ada.pk,
        *MASTERS,
    )
    for table in before:
        (row,) = history(table)
        assert row["history_change_reason"] == f"program-linking job {job.pk}"
        assert row["history_user_id"] is None
        assert began <= aware(row["history_date"]) <= began + timedelta(seconds=60)


def test_a_relink_is_recorded_once_for_each_row_that_it_changed(ada: User, bob: User) -> None:
    add_course_run(enroll("s-1", ada), make_course(), enroll_in_course(ada))
    before = rows_with_history()

    linked({"s-1": "bob"})

    assert_history_is_complete(before)
    assert [types(table) for table in before][:2] == [["~"], ["~"]]
    assert states() == [(ada.pk, "~", "audit", 0), (bob.pk, "+", *MASTERS)]


@pytest.mark.parametrize(
    ("mode", "is_active", "expected"),
    [
        ("masters", True, []),
        ("verified", True, []),
        ("audit", True, [("~", *MASTERS)]),
        ("honor", False, [("~", *MASTERS)]),
        ("masters", False, [("~", *MASTERS)]),
    ],
)
def test_only_a_course_enrollment_that_changed_has_history(
    ada: User, mode: str, is_active: bool, expected: list[tuple[str, str, int]]
) -> None:
    add_course_run(enroll("s-1"), make_course())
    enroll_in_course(ada, ALGEBRA, mode, is_active=is_active)
    before = rows_with_history()

    linked({"s-1": "ada"})

    assert_history_is_complete(before)
    assert states() == [(ada.pk, *state) for state in expected]


@pytest.mark.parametrize(("mode", "expected"), [(None, ("+", "masters", 0)), ("audit", ("~", "masters", 0))])
def test_an_inactive_program_course_enrollment_leaves_one_history_row_of_the_end(
    ada: User, mode: str | None, expected: tuple[str, str, int]
) -> None:
    add_course_run(enroll("s-1"), make_course(), status="inactive")
    if mode:
        enroll_in_course(ada, ALGEBRA, mode)

    linked({"s-1": "ada"})

    assert states() == [(ada.pk, *expected)]


def test_a_chain_in_one_slice_is_recorded_as_it_ends(ada: User, bob: User) -> None:
    make_course()
    eve = make_user("eve")
    for key, user in (("s-1", ada), ("s-2", bob)):
        add_course_run(enroll(key, user), ALGEBRA, enroll_in_course(user))
    before = rows_with_history()

    linked({"s-1": "eve", "s-2": "ada"})

    assert_history_is_complete(before)
    assert [types(table) for table in before][:2] == [["~"] * 2] * 2
    # Given up and taken again in one transaction: ada's course enrollment is as it was.
    assert states() == [(bob.pk, "~", "audit", 0), (eve.pk, "+", *MASTERS)]


def test_a_collision_undoes_its_history_and_the_others_have_theirs(ada: User, bob: User) -> None:
    make_course()
    enroll("held", ada)
    for key in ("s-1", "s-2"):
        add_course_run(enroll(key))
    before = rows_with_history()

    job = submit({"s-1": "ada", "s-2": "bob"})
    assert run(job).keys() == {"s-1"}

    assert_history_is_complete(before)
    assert [types(table) for table in before] == [["~"], ["~"], ["+"]]
    assert states() == [(bob.pk, "+", *MASTERS)]


def test_what_changes_nothing_leaves_no_history(ada: User) -> None:
    make_course()
    add_course_run(enroll("linked", ada), ALGEBRA, enroll_in_course(ada, mode="audit"))
    add_course_run(enroll("missing"), BIOLOGY)
    add_course_run(enroll("waiting"), roles=("staff",))
    make_user("bob")
    before = rows_with_history()

    run_job({"linked": "ada", "missing": "bob", "nobody": "bob", "waiting": "nobody"})
    run_job({"waiting": "bob"}, dry_run=True)

    assert without_history(before)
    assert role_history() == []


def test_a_granted_role_is_recorded_and_one_that_is_held_or_refused_is_not(ada: User, bob: User) -> None:
    make_course()
    make_role(bob)
    make_user("eve", is_active=False)
    for key in ("s-1", "s-2", "s-3"):
        add_course_run(enroll(key), roles=("staff", "wizard"))

    job = linked({"s-1": "ada", "s-2": "bob", "s-3": "eve"})

    (row,) = role_history()
    expected = {"user_id": ada.pk, "org": "Org", "course_id": str(ALGEBRA), "role": "staff", "action_type": "created"}
    assert row.items() >= expected.items()
    assert row["old_values"] is row["changed_by_id"] is None
    undo(job)
    assert roles_of(ada) == set()
    assert [row["action_type"] for row in role_history()] == ["created", "deleted"]
    assert role_history()[1].items() >= (expected | {"action_type": "deleted"}).items()


def test_a_role_of_one_learner_alone_is_recorded(ada: User) -> None:
    """A slice of one grants each role in a savepoint."""
    enrollment = enroll("s-1")
    add_course_run(enrollment, make_course(), roles=("staff",))

    api.link_program_enrollment_to_lms_user(enrollment, ada)

    assert [row["action_type"] for row in role_history()] == ["created"]


def test_an_undo_is_recorded_and_names_its_own_job(ada: User, bob: User) -> None:
    make_course()
    add_course_run(enroll("s-1", ada), ALGEBRA, enroll_in_course(ada))
    add_course_run(enroll("s-2"))
    make_user("eve")
    original = rows_with_history()
    job = linked({"s-1": "bob", "s-2": "eve"})
    before = rows_with_history()

    undoing = undo(job)

    assert undoing.counts == {"undone": 2}
    assert_history_is_complete(before)
    by_reason: dict[str, list[Row]] = {}
    for table in before:
        for row in history(table):
            by_reason.setdefault(row["history_change_reason"], []).append(row)
    assert by_reason.keys() == {f"program-linking job {each.pk}" for each in (job, undoing)}
    assert {row["history_type"] for row in by_reason[f"program-linking job {undoing.pk}"]} == {"~"}
    stored, former = rows_with_history()[COURSE_ENROLLMENT], original[COURSE_ENROLLMENT]
    assert {row_id: stored[row_id] for row_id in former} == former
    # What the job created is left as by an unlinking: rows of the LMS refer to it.
    assert [(row["mode"], row["is_active"]) for row_id, row in stored.items() if row_id not in former] == [
        ("audit", 0),
        ("audit", 0),
    ]


def test_an_undo_keeps_course_enrollments_to_which_rows_of_the_lms_refer(ada: User) -> None:
    add_course_run(enroll("s-1"), make_course())
    job = linked({"s-1": "ada"})
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE schedules_schedule (enrollment_id int NOT NULL, FOREIGN KEY (enrollment_id)"
            f" REFERENCES {COURSE_ENROLLMENT} (id))"
        )
        try:
            cursor.execute(f"INSERT INTO schedules_schedule SELECT id FROM {COURSE_ENROLLMENT}")  # noqa: S608 - our own name
            undoing = undo(job)
        finally:
            cursor.execute("DROP TABLE schedules_schedule")

    assert undoing.counts == {"undone": 1}
    assert states() == [(ada.pk, "+", *MASTERS), (ada.pk, "~", "audit", 0)]
    # The next link activates it again, and its undo leaves it as it was.
    again = linked({"s-1": "ada"})
    assert CourseEnrollment.objects.get().is_active
    assert undo(again).counts == {"undone": 1}
    assert not CourseEnrollment.objects.get().is_active


def test_a_dry_run_of_an_undo_leaves_no_history(ada: User) -> None:
    add_course_run(enroll("s-1"), make_course(), roles=("staff",))
    job = linked({"s-1": "ada"})
    known = [history(table) for table in rows_with_history()] + [role_history()]

    undo(job, dry_run=True)

    assert [history(table) for table in rows_with_history()] + [role_history()] == known


def test_services_in_process_record_without_a_job(ada: User) -> None:
    make_course()
    enrollment = enroll("s-1")
    add_course_run(enrollment)
    before = rows_with_history()

    api.link_program_enrollment_to_lms_user(enrollment, ada)
    api.unlink_program_enrollment(enrollment)
    assert link_by_engine({"s-1": "ada"}) == {}
    make_course(BIOLOGY)
    api.enroll_in_masters_track(ada, BIOLOGY, "active")

    assert_history_is_complete(before)
    assert [types(table) for table in before] == [["~"] * 3, ["~"] * 3, ["+", "~", "~", "+"]]
    assert {row["history_change_reason"] for table in before for row in history(table)} == {"program-linking"}
