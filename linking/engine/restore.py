"""The rules of undo, learner by learner, on plain values: what has changed since linking, and which rows to restore.

The learners of a slice are undone from the last to the first, each on the state that those before it have left. A later
learner's change to the same rows is undone by then, or keeps the earlier learner from being undone.
"""

from collections import defaultdict
from collections.abc import Iterator

from linking import messages
from linking.engine.change import CourseChange, Grant, Pointer, RecordedChange
from linking.engine.rules import organization, state_when_left
from linking.engine.state import CourseEnrollment, ProgramCourseEnrollment, ProgramEnrollment, SliceState
from linking.engine.transition import Kind, Path, State, Transition, enrollment_transition
from linking.keys import fold_key
from linking.outcomes import Learner, Outcome, Result

CourseRuns = dict[int, ProgramCourseEnrollment]
"""The course runs of a program enrollment, by id."""


class UndoState(SliceState):
    """All rows that undoing a slice depends on, and what to write.

    A course enrollment that the job created is deleted, or, if ``keeps_created``, left as by an unlinking.
    """

    def __init__(self, *, keeps_created: bool) -> None:
        super().__init__()
        self.keeps_created = keeps_created
        self.enrollments_by_id: dict[int, ProgramEnrollment] = {}
        self.rows: dict[int, CourseEnrollment] = {}  # By id.
        # Ids of the program course enrollments that point at a course enrollment, by its id.
        self.pointing: dict[int, set[int]] = defaultdict(set)
        self.written: set[Pointer] = set()  # Since the job began.
        # Those of them that this job does not undo: their program enrollments rely on the course enrollment.
        self.foreign: set[Pointer] = set()
        self.moved: dict[int, CourseChange] = {}  # The former pointers to write, by program course enrollment id.
        self.deleted: list[CourseEnrollment] = []
        self.revoked: list[int] = []  # Ids of course roles to delete.
        self.assigned: list[Grant] = []  # Role assignments to insert.
        # Transitions with the ids of the learners' program enrollments, in the order in which they happened.
        self.transitions: list[tuple[int, Transition]] = []


def restore(state: UndoState, learner: Learner, change: RecordedChange) -> Result:
    """Restore the rows of ``learner`` in memory, or leave them all where something has changed since."""
    if differences := list(dict.fromkeys(_differences(state, learner, change))):
        message = messages.CHANGED_SINCE_TEMPLATE.format(changes="; ".join(differences))
        # The learner stays linked and relies on its course enrollments: learners before it in the job cannot have them.
        state.foreign |= change.pointers & state.written
        return Result(learner=learner, outcome=Outcome.CHANGED_SINCE, message=message)
    _restore(state, change)
    return Result(learner=learner, outcome=Outcome.UNDONE, before=learner.before)


def _differences(state: UndoState, learner: Learner, change: RecordedChange) -> Iterator[str]:
    enrollment = state.enrollments_by_id.get(change.enrollment_id)
    if enrollment is None:
        yield messages.ENROLLMENT_GONE
    elif enrollment.user_id is None:
        yield messages.ENROLLMENT_UNLINKED
    elif enrollment.user_id != change.user_id:
        name = state.usernames.get(enrollment.user_id, enrollment.user_id)
        yield messages.ENROLLMENT_RELINKED_TEMPLATE.format(username=name)
    else:
        yield from _differences_of_enrollment(state, learner, change, enrollment)
        courses = {course.id: course for course in enrollment.courses}
        yield from _differences_of_course_runs(state, change, courses)
        yield from _differences_of_course_enrollments(state, change)
        yield from _differences_of_roles(state, change, courses)


def _differences_of_enrollment(
    state: UndoState, learner: Learner, change: RecordedChange, enrollment: ProgramEnrollment
) -> Iterator[str]:
    key, former = enrollment.external_user_key, change.former_user_id
    if key is None or fold_key(key) != fold_key(learner.external_user_key):
        yield messages.KEY_CHANGED
    if former is None:
        return
    name = state.usernames.get(former)
    if name is None:
        yield messages.ACCOUNT_GONE
    elif (former, enrollment.curriculum_uuid) in state.holders:
        yield messages.ACCOUNT_TAKEN_TEMPLATE.format(username=name)


def _differences_of_course_runs(state: UndoState, change: RecordedChange, courses: CourseRuns) -> Iterator[str]:
    for pointer in change.courses:
        course = courses.get(pointer.id)
        if course is None:
            yield messages.COURSE_RUN_GONE
        elif (course.points_at and course.points_at.id) != pointer.after:
            yield messages.COURSE_RUN_MOVED_TEMPLATE.format(course_key=course.course_key)
        elif pointer.before is not None and pointer.before not in state.rows:
            yield messages.COURSE_ENROLLMENT_GONE
    recorded = {pointer.id for pointer in change.courses}
    for course in courses.values():
        if course.id not in recorded and course.course_enrollment_id is not None:
            yield messages.COURSE_RUN_ADDED_TEMPLATE.format(course_key=course.course_key)


def _differences_of_course_enrollments(state: UndoState, change: RecordedChange) -> Iterator[str]:
    for row_id, before, after in change.course_enrollments:
        row = state.rows.get(row_id)
        if row is None:
            yield messages.COURSE_ENROLLMENT_GONE
            continue
        now = (row.is_active, row.mode)
        if now != after:
            yield messages.COURSE_ENROLLMENT_CHANGED_TEMPLATE.format(
                course_key=row.course_key, then=_described(after), now=_described(now)
            )
        if _is_used(state, change, row_id, created=before is None):
            yield messages.COURSE_ENROLLMENT_USED_TEMPLATE.format(course_key=row.course_key)


def _differences_of_roles(state: UndoState, change: RecordedChange, courses: CourseRuns) -> Iterator[str]:
    points_at = {pointer.id: pointer.after for pointer in change.courses}
    for grant in change.grants:
        course = courses.get(grant.course_id)
        if course is None:
            continue  # Already among the differences of course runs.
        if any(role == grant.role for _, role, _ in course.assignments):
            yield messages.ROLE_ASSIGNED_TEMPLATE.format(role=grant.role, course_key=course.course_key)
        if not grant.new:
            continue
        if (organization(course.course_key), grant.role) not in state.roles[change.user_id, course.course_key]:
            yield messages.ROLE_GONE_TEMPLATE.format(role=grant.role, course_key=course.course_key)
        # A learner that was linked since found the role granted, and has used its own assignment.
        if _is_used(state, change, points_at[grant.course_id], created=False):
            yield messages.COURSE_ENROLLMENT_USED_TEMPLATE.format(course_key=course.course_key)


def _is_used(state: UndoState, change: RecordedChange, row_id: int | None, *, created: bool) -> bool:
    """Return whether another program enrollment points at a course enrollment since, and so relies on its state."""
    if row_id is None:
        return False
    others = state.pointing[row_id] - {pointer.id for pointer in change.courses}
    return bool(others) if created else any((course_id, row_id) in state.foreign for course_id in others)


def _restore(state: UndoState, change: RecordedChange) -> None:
    enrollment = state.enrollments_by_id[change.enrollment_id]
    courses = {course.id: course for course in enrollment.courses}
    state.holders.pop((change.user_id, enrollment.curriculum_uuid), None)
    if change.former_user_id is not None:
        state.holders[change.former_user_id, enrollment.curriculum_uuid] = enrollment.id
    enrollment.user_id = change.former_user_id
    for moved in change.courses:
        if moved.before == moved.after:
            continue
        # The time of modification is restored too: a later undo must not take the row for one that was written since.
        state.moved[moved.id] = moved
        courses[moved.id].points_at = None
        if moved.after is not None:
            state.pointing[moved.after].discard(moved.id)
        if moved.before is not None:
            courses[moved.id].points_at = state.rows[moved.before]
            state.pointing[moved.before].add(moved.id)
    for grant in change.grants:
        course = courses[grant.course_id]
        course.assignments.append((grant.assignment_id, grant.role, grant.assigned))
        state.assigned.append(grant)
        if grant.new:
            role_id = state.roles[change.user_id, course.course_key].pop((organization(course.course_key), grant.role))
            state.revoked.append(role_id or 0)
            revoked = Transition(
                kind=Kind.ROLE_REVOKED,
                path=Path.ROLE,
                user_id=change.user_id,
                course_key=course.course_key,
                role=grant.role,
            )
            state.transitions.append((change.enrollment_id, revoked))
    # The last change first: a new user leaves before the former one is back.
    for row_id, before, _ in reversed(change.course_enrollments):
        row = state.rows[row_id]
        now = (row.is_active, row.mode)
        former = state_when_left(state, row) if before is None and state.keeps_created else before
        if former is None:
            state.deleted.append(row)
            del state.rows[row_id], state.course_enrollments[row.user_id, row.course_key]
        else:
            row.is_active, row.mode = former
        deleted = former is None
        restored = enrollment_transition(row, now, _path(now, former), skip_refund=True, deleted=deleted)
        if restored is not None:
            state.transitions.append((change.enrollment_id, restored))


def _path(now: State, former: State | None) -> Path:
    """Return the way in which the LMS would restore a course enrollment."""
    if former is None or not former[0]:
        return Path.UPDATE
    # Linking changes the mode of an active enrollment by a bare save, which notifies nobody.
    return Path.SAVE if now[0] else Path.ENROLL


def _described(state: State) -> str:
    is_active, mode = state
    return f"{'active' if is_active else 'inactive'} in mode {mode}"
