"""Write the rows of a slice, and the events of its transitions, in a fixed number of statements."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import DatabaseError, transaction

from linking import messages
from linking.engine import history
from linking.engine.change import Grant
from linking.engine.rules import Plan, organization
from linking.engine.state import CourseEnrollment, ProgramCourseEnrollment, ProgramEnrollment, SliceState
from linking.engine.transition import Transition
from linking.exceptions import StaleReadError
from linking.outbox import recording
from linking.outbox.step import step_text
from linking.sql import is_transient
from linking.sql.statements import delete_rows, insert_missing_rows, insert_rows, update_rows


def write_users(enrollments: Iterable[ProgramEnrollment], now: datetime) -> None:
    """Write the users of program enrollments.

    Unique constraints are checked row by row. Where one enrollment gets a user that another one of the slice loses, the
    user is first removed from the one that loses it.
    """
    changed = [row for row in enrollments if row.user_id != row.stored_user_id]
    taken = {row.user_id for row in changed if row.user_id is not None}
    removed = [(row.id, None) for row in changed if row.stored_user_id in taken]
    for rows in (removed, [(row.id, row.user_id) for row in changed]):
        columns = {"id": "bigint", "user_id": "bigint"}
        update_rows("program_enrollments_programenrollment", columns, rows, modified=now)
    for row in changed:
        row.stored_user_id, row.is_written = row.user_id, True


def write_course_enrollments(state: SliceState, now: datetime) -> list[CourseEnrollment]:
    """Insert and update course enrollments; return those that were written.

    Raises:
        StaleReadError: one to be inserted exists by now.
    """
    changed = [row for row in state.course_enrollments.values() if row.stored != (row.is_active, row.mode)]
    # Two transactions that insert the same rows must not do so in opposite orders.
    new = sorted((row for row in changed if row.id is None), key=lambda row: (row.user_id, row.course_key))
    inserted = insert_rows(
        "student_courseenrollment",
        {"user_id": "bigint", "course_id": "text", "is_active": "boolean", "mode": "text"},
        [(row.user_id, row.course_key, row.is_active, row.mode) for row in new],
        key=("user_id", "course_id"),
        created=now,
    )
    if len(inserted) != len(new):
        raise StaleReadError
    for row_id, user_id, course_key in inserted:
        row = state.course_enrollments[user_id, course_key]
        row.id, row.created = row_id, now
    update_rows(
        "student_courseenrollment",
        {"id": "bigint", "is_active": "boolean", "mode": "text"},
        [(row.id, row.is_active, row.mode) for row in changed if row.stored is not None],
    )
    return changed


def write_pointers(courses: Iterable[ProgramCourseEnrollment], now: datetime) -> list[int]:
    """Point program course enrollments at their course enrollments; return the ids of those that were written."""
    rows = [
        (course.id, points_at)
        for course in courses
        if (points_at := course.points_at and course.points_at.id) != course.course_enrollment_id
    ]
    columns = {"id": "bigint", "course_enrollment_id": "bigint"}
    update_rows("program_enrollments_programcourseenrollment", columns, rows, modified=now)
    return [row_id for row_id, _ in rows]


def write_roles(plans: Sequence[Plan], *, one_by_one: bool) -> None:
    """Grant the roles that were assigned in advance, and delete the assignments.

    With ``one_by_one`` each grant has a savepoint: one that fails becomes a warning and keeps its assignment.
    Otherwise a failure fails the whole transaction.
    """
    grants = [(plan, grant) for plan in plans for grant in plan.change.grants]
    if not one_by_one:
        _grant(grants)
        return
    for plan, grant in grants:
        try:
            with transaction.atomic():
                _grant([(plan, grant)])
        except DatabaseError as error:
            if is_transient(error):
                raise
            plan.refuse_grant(grant, messages.describe(error))


def _grant(grants: Sequence[tuple[Plan, Grant]]) -> None:
    columns = {"user_id": "bigint", "org": "text", "course_id": "text", "role": "text"}
    rows = [(plan.target[1].id, organization(grant.course_key), grant.course_key, grant.role) for plan, grant in grants]
    insert_missing_rows("student_courseaccessrole", columns, rows)
    history.write_granted_roles([row for row, (_, grant) in zip(rows, grants, strict=True) if grant.new])
    delete_rows("program_enrollments_courseaccessroleassignment", [grant.assignment_id for _, grant in grants])


def write_events(transitions: Iterable[tuple[int | None, Transition]], now: datetime) -> None:
    """Write the events of transitions, each with the id of its program enrollment; their rows must have their ids."""
    if not recording.is_on():
        return
    events = [
        (
            one.user_id,
            enrollment_id,
            one.row and one.row.id,
            one.course_key,
            step_text(one.kind, one.path, one.before, one.after, one.skip_refund, one.role),
        )
        for enrollment_id, one in transitions
    ]
    recording.record(events, now)
