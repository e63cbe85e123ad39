"""Taking one learner back, on plain values: what has changed since it was linked, and what its rows shall hold again.

The learners of a slice are taken back from the last to the first, each on the state that those before it have left:
what a later learner did to the same rows is gone by then, or blocks the earlier one.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from linking import messages
from linking.engine.change import SpentRole
from linking.engine.rules import organization
from linking.engine.state import CourseEnrollment, ProgramCourseEnrollment, ProgramEnrollment, World
from linking.keys import fold_key
from linking.outcomes import Learner, Outcome, Result

State = tuple[bool, str]
"""``is_active`` and ``mode`` of a course enrollment."""
Pointer = tuple[int, int]
"""Ids of a program course enrollment and of the course enrollment that it points at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What linking a learner changed; see :meth:`linking.engine.change.Change.as_json`."""

    enrollment: int
    user: tuple[int | None, int]
    course_enrollments: list[tuple[int, State | None, State]]
    courses: list[tuple[int, int | None, int | None, str]]
    roles: list[SpentRole]

    @classmethod
    def of(cls, learner: Learner) -> Self:
        """Return what linking ``learner`` changed."""
        kept: dict[str, Any] = learner.before or {}
        former, new = kept["user"]
        return cls(
            enrollment=kept["enrollment"],
            user=(former, new),
            course_enrollments=[
                (ce_id, was and tuple(was), tuple(now)) for ce_id, was, now in kept["course_enrollments"]
            ],
            courses=[tuple(course) for course in kept["courses"]],
            roles=[SpentRole(*role) for role in kept["roles"]],
        )

    @property
    def pointers(self) -> set[Pointer]:
        """The pointers of the learner's course runs, as they were before it was linked and as they were then."""
        return pointers_of(self.courses)


def pointers_of(courses: Iterable[Sequence[Any]]) -> set[Pointer]:
    """Return the pointers in what a learner's ``before`` holds of its course runs."""
    return {(course_id, ce_id) for course_id, was, now, _ in courses for ce_id in (was, now) if ce_id is not None}


@dataclass(slots=True, kw_only=True)
class Scene:
    """Everything that taking back a slice depends on, and what is to be written.

    Attributes:
        world: usernames by id, who holds what, and the course enrollments to be written.
        enrollments: program enrollments by id.
        rows: course enrollments by id.
        roles: the id of each role held, by (user id, course key, org, role).
        pointing: the program course enrollments that point at a course enrollment, by its id.
        written: pointers (program course enrollment id, course enrollment id) that were written since the job began.
        foreign: those of them that are not this job's to take back: who wrote them relies on the course enrollment.
        moved, deleted, revoked, assigned: pointers (course enrollment id, and when it had been written, by program
            course enrollment id), course enrollments, ids of roles, and role assignments (id, program course enrollment
            id, role, when it was assigned) to write.
    """

    world: World
    enrollments: dict[int, ProgramEnrollment]
    rows: dict[int, CourseEnrollment]
    roles: dict[tuple[int, str, str, str], int]
    pointing: dict[int, set[int]]
    written: set[Pointer]
    foreign: set[Pointer]
    moved: dict[int, tuple[int | None, datetime]] = field(default_factory=dict)
    deleted: list[CourseEnrollment] = field(default_factory=list)
    revoked: list[int] = field(default_factory=list)
    assigned: list[tuple[int, int, str, datetime]] = field(default_factory=list)


def take_back(scene: Scene, learner: Learner) -> Result:
    """Give the rows of ``learner`` back what they held, in memory; leave them all where something has changed since."""
    before = Before.of(learner)
    if changes := list(dict.fromkeys(_changes_since(scene, learner, before))):
        message = messages.CHANGED_SINCE_TEMPLATE.format(changes="; ".join(changes))
        # What stays linked relies on its course enrollments: those before it in the job cannot have them back.
        scene.foreign |= before.pointers & scene.written
        return Result(learner=learner, outcome=Outcome.CHANGED_SINCE, message=message)
    _restore(scene, before)
    return Result(learner=learner, outcome=Outcome.UNDONE, before=learner.before)


def _changes_since(scene: Scene, learner: Learner, before: Before) -> Iterator[str]:
    enrollment = scene.enrollments.get(before.enrollment)
    _, new = before.user
    if enrollment is None:
        yield messages.ENROLLMENT_GONE
    elif enrollment.user_id is None:
        yield messages.ENROLLMENT_UNLINKED
    elif enrollment.user_id != new:
        name = scene.world.usernames.get(enrollment.user_id, enrollment.user_id)
        yield messages.ENROLLMENT_RELINKED_TEMPLATE.format(username=name)
    else:
        yield from _changes_of_the_place(scene, learner, before, enrollment)
        yield from _changes_of_course_runs(scene, before, enrollment)
        yield from _changes_of_course_enrollments(scene, before)
        yield from _changes_of_roles(scene, before, enrollment)


def _changes_of_the_place(
    scene: Scene, learner: Learner, before: Before, enrollment: ProgramEnrollment
) -> Iterator[str]:
    key = enrollment.external_user_key
    if key is None or fold_key(key) != fold_key(learner.external_user_key):
        yield messages.KEY_CHANGED
    former, _ = before.user
    if former is None:
        return
    name = scene.world.usernames.get(former)
    if name is None:
        yield messages.ACCOUNT_GONE
    elif scene.world.holders.get((former, enrollment.curriculum_uuid)) is not None:
        yield messages.ACCOUNT_TAKEN_TEMPLATE.format(username=name)


def _changes_of_course_runs(scene: Scene, before: Before, enrollment: ProgramEnrollment) -> Iterator[str]:
    there = {course.id: course for course in enrollment.courses}
    for course_id, was, now, _ in before.courses:
        course = there.pop(course_id, None)
        if course is None:
            yield messages.COURSE_RUN_GONE
        elif (course.points_at and course.points_at.id) != now:
            yield messages.COURSE_RUN_MOVED_TEMPLATE.format(course_key=course.course_key)
        elif was is not None and was not in scene.rows:
            yield messages.COURSE_ENROLLMENT_GONE
    for course in there.values():
        if course.course_enrollment_id is not None:
            yield messages.COURSE_RUN_ADDED_TEMPLATE.format(course_key=course.course_key)


def _changes_of_course_enrollments(scene: Scene, before: Before) -> Iterator[str]:
    for ce_id, was, now in before.course_enrollments:
        row = scene.rows.get(ce_id)
        if row is None:
            yield messages.COURSE_ENROLLMENT_GONE
            continue
        if (row.is_active, row.mode) != now:
            yield messages.COURSE_ENROLLMENT_CHANGED_TEMPLATE.format(
                course_key=row.course_key, then=_told(now), now=_told((row.is_active, row.mode))
            )
        if _is_used(scene, before, ce_id, created=was is None):
            yield messages.COURSE_ENROLLMENT_USED_TEMPLATE.format(course_key=row.course_key)


def _changes_of_roles(scene: Scene, before: Before, enrollment: ProgramEnrollment) -> Iterator[str]:
    there = {course.id: course for course in enrollment.courses}
    points_at = {course_id: now for course_id, _, now, _ in before.courses}
    for spent in before.roles:
        course = there.get(spent.course_id)
        if course is None:
            continue  # Told already.
        if any(role == spent.role for _, role, _ in course.assignments):
            yield messages.ROLE_ASSIGNED_TEMPLATE.format(role=spent.role, course_key=course.course_key)
        if not spent.granted:
            continue
        if _held(before, course, spent) not in scene.roles:
            yield messages.ROLE_GONE_TEMPLATE.format(role=spent.role, course_key=course.course_key)
        # Whoever was linked since found the role granted, and has spent its own assignment.
        if _is_used(scene, before, points_at[spent.course_id], created=False):
            yield messages.COURSE_ENROLLMENT_USED_TEMPLATE.format(course_key=course.course_key)


def _is_used(scene: Scene, before: Before, ce_id: int | None, *, created: bool) -> bool:
    """Tell whether another program enrollment points at a course enrollment since: it relies on it as it is."""
    if ce_id is None:
        return False
    others = scene.pointing.get(ce_id, set()) - {course_id for course_id, *_ in before.courses}
    return bool(others) if created else any((course_id, ce_id) in scene.foreign for course_id in others)


def _held(before: Before, course: ProgramCourseEnrollment, spent: SpentRole) -> tuple[int, str, str, str]:
    return before.user[1], course.course_key, organization(course.course_key), spent.role


def _restore(scene: Scene, before: Before) -> None:
    enrollment = scene.enrollments[before.enrollment]
    there = {course.id: course for course in enrollment.courses}
    former, new = before.user
    scene.world.holders.pop((new, enrollment.curriculum_uuid), None)
    if former is not None:
        scene.world.holders[former, enrollment.curriculum_uuid] = enrollment.id
    enrollment.user_id = former
    for course_id, was, now, written in before.courses:
        if was == now:
            continue
        # As if it had never been written: others must not take it for somebody who relies on the course enrollment.
        scene.moved[course_id] = (was, datetime.fromisoformat(written))
        there[course_id].points_at = None if was is None else scene.rows[was]
        if now is not None:
            scene.pointing[now].discard(course_id)
        if was is not None:
            scene.pointing.setdefault(was, set()).add(course_id)
    for ce_id, state, _ in before.course_enrollments:
        row = scene.rows[ce_id]
        row.skip_refund = True
        if state is not None:
            row.is_active, row.mode = state
            continue
        row.is_active = False
        scene.deleted.append(row)
        del scene.rows[ce_id], scene.world.course_enrollments[row.user_id, row.course_key]
    for spent in before.roles:
        course = there[spent.course_id]
        assigned = datetime.fromisoformat(spent.assigned)
        course.assignments.append((spent.assignment_id, spent.role, assigned))
        scene.assigned.append((spent.assignment_id, course.id, spent.role, assigned))
        if spent.granted:
            scene.revoked.append(scene.roles.pop(_held(before, course, spent)))


def _told(state: State) -> str:
    is_active, mode = state
    return f"{'active' if is_active else 'inactive'} in mode {mode}"
