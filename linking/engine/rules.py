"""The rules of linking, learner by learner, on plain values, as in Open edX.

:func:`plan` decides the outcome of a learner, :func:`apply` changes the rows in memory. These are two steps because a
learner that will collide in the database, and all that interfere with it, must be left out before any row is changed.
"""

import logging
from dataclasses import dataclass, field
from functools import lru_cache
from uuid import UUID

from opaque_keys.edx.keys import CourseKey

from linking import messages
from linking.engine.change import Change, Grant
from linking.engine.state import CourseEnrollment, ProgramCourseEnrollment, ProgramEnrollment, SliceState, User
from linking.engine.transition import Path, State
from linking.exceptions import NonExistentCourseError
from linking.outcomes import Learner, Outcome, Result

MASTERS = "masters"
AUDIT = "audit"
MODES_THAT_BECOME_MASTERS = frozenset({AUDIT, "honor"})
ACTIVE, INACTIVE = "active", "inactive"
GRANTABLE_ROLES = frozenset({"staff"})
"""Roles that an assignment may grant."""


@dataclass(slots=True, kw_only=True, eq=False)
class Plan(Result):
    """The intended result of a learner, and the rows to change; ``fault`` is an error of step 3 known in advance."""

    enrollment: ProgramEnrollment | None = None
    user: User | None = None
    former_user_id: int | None = None  # The user that a relink takes the enrollment from.
    # The user holds another enrollment of the program and curriculum; the database must raise the error.
    collides: bool = False
    change: Change = field(default_factory=Change)  # By apply(), for the ledger; it also has the roles to grant.

    @property
    def links(self) -> bool:
        """Whether there is anything to apply."""
        return self.outcome in {Outcome.LINKED, Outcome.RELINKED} and self.fault is None

    @property
    def target(self) -> tuple[ProgramEnrollment, User]:
        """The program enrollment and the user of a plan that links."""
        if self.enrollment is None or self.user is None:
            raise AssertionError(self.outcome)
        return self.enrollment, self.user

    def refuse_grant(self, grant: Grant, error: str) -> None:
        """Keep the assignment of a grant that the database refused."""
        self.change.refuse(grant)
        text = messages.ROLE_FAILED_TEMPLATE.format(role=grant.role, course_key=grant.course_key, error=error)
        self.warn(logging.ERROR, text)


def plan(state: SliceState, program_uuid: UUID, learner: Learner) -> Plan:
    """Decide the outcome of ``learner`` after the learners before it, and note who holds the enrollment then."""
    user = state.users.get(learner.lms_username)
    if user is None:
        text = messages.NO_LMS_USER_TEMPLATE.format(username=learner.lms_username)
        return Plan(learner=learner, outcome=Outcome.NO_USER, message=text)
    enrollment = state.find_enrollment(learner.external_user_key)
    if enrollment is None:
        text = messages.NO_PROGRAM_ENROLLMENT_TEMPLATE.format(
            program_uuid=program_uuid, external_user_key=learner.external_user_key
        )
        return Plan(learner=learner, outcome=Outcome.NO_ENROLLMENT, message=text)
    former = enrollment.user_id
    if former == user.id:
        text = messages.EXISTING_USER_TEMPLATE.format(
            external_user_key=enrollment.external_user_key, account_relation="target", username=user.username
        )
        return Plan(learner=learner, outcome=Outcome.ALREADY_LINKED, message=text)

    made = Plan(
        learner=learner,
        outcome=Outcome.LINKED if former is None else Outcome.RELINKED,
        enrollment=enrollment,
        user=user,
        former_user_id=former,
        fault=course_fault(state, enrollment.courses),
        collides=(user.id, enrollment.curriculum_uuid) in state.holders,
    )
    if made.fault is None and not made.collides:
        if former is not None:
            state.holders.pop((former, enrollment.curriculum_uuid), None)
        state.holders[user.id, enrollment.curriculum_uuid] = enrollment.id
        enrollment.user_id = user.id
    return made


def apply(state: SliceState, plan: Plan) -> None:
    """Apply ``plan`` to the rows in memory: unlink a former user, link the new one, grant its roles."""
    enrollment, user = plan.target
    plan.change.begin(enrollment, plan.former_user_id, user.id)
    if plan.former_user_id is not None:
        _log_relink(state, plan, plan.former_user_id)
        unlink(state, enrollment, plan.change)
    link(state, plan)
    plan.change.end()


def unlink(state: SliceState, enrollment: ProgramEnrollment, change: Change) -> None:
    """Remove the user and the course enrollments from a program enrollment; deactivate these, without refund."""
    for course in enrollment.courses:
        row = course.points_at
        if row is None:
            continue
        change.add(row)
        before = (row.is_active, row.mode)
        row.is_active, row.mode = state_when_left(state, row)
        change.note(row, before, Path.UPDATE, skip_refund=True)
        course.points_at = None
    enrollment.user_id = None


def state_when_left(state: SliceState, row: CourseEnrollment) -> State:
    """Return the state in which a user leaves a course run: inactive, and in audit where that is offered."""
    offered = state.modes.get(row.course_key)
    # A course run that offers no track offers audit.
    return False, AUDIT if not offered or AUDIT in offered else row.mode


def link(state: SliceState, plan: Plan) -> None:
    """Set the user of the program enrollment, enroll it in the Master's track of the course runs, grant the roles."""
    enrollment, user = plan.target
    enrollment.user_id = user.id
    for course in enrollment.courses:
        course.points_at = enroll(state, user.id, course, plan)
        if course.assignments:
            _grant_roles(state, user, course, plan)


def enroll(state: SliceState, user_id: int, course: ProgramCourseEnrollment, plan: Plan) -> CourseEnrollment:
    """Enroll the user in the Master's track of a course run that exists, and return the course enrollment."""
    row = state.course_enrollments.get((user_id, course.course_key))
    if row is None:
        row = CourseEnrollment(
            id=None, user_id=user_id, course_key=course.course_key, is_active=True, mode=MASTERS, stored=None
        )
        row.enrolled = True
        state.course_enrollments[user_id, course.course_key] = row
        plan.change.add(row, created=True)
        plan.change.note(row, None, Path.ENROLL)
    else:
        plan.change.add(row)
        row.enrolled |= not row.is_active
        if not row.is_active or row.mode in MODES_THAT_BECOME_MASTERS:
            before = (row.is_active, row.mode)
            row.is_active, row.mode = True, MASTERS
            plan.change.note(row, before, Path.SAVE if before[0] else Path.ENROLL)
        elif row.mode != MASTERS:
            text = messages.OTHER_MODE_TEMPLATE.format(course_key=course.course_key, mode=row.mode)
            plan.warn(logging.ERROR, text)
    if row.mode == MASTERS and course.status == INACTIVE:
        before = (row.is_active, row.mode)
        row.is_active = False
        plan.change.note(row, before, Path.UPDATE)
    return row


def course_fault(state: SliceState, courses: list[ProgramCourseEnrollment]) -> Exception | None:
    """Return the error of enrolling in ``courses``, None where all can be enrolled in."""
    try:
        for course in courses:
            if course.course_key not in state.courses:
                raise NonExistentCourseError  # noqa: TRY301 - raised to have its traceback
            if course.status not in {ACTIVE, INACTIVE}:
                raise ValueError(messages.UNEXPECTED_STATUS_TEMPLATE.format(status=course.status))  # noqa: TRY301
    except (NonExistentCourseError, ValueError) as fault:
        return fault
    return None


def _grant_roles(state: SliceState, user: User, course: ProgramCourseEnrollment, plan: Plan) -> None:
    kept = []
    for assignment in course.assignments:
        assignment_id, role, assigned = assignment
        facts = {"role": role, "course_key": course.course_key}
        if not user.is_active:
            kept.append(assignment)
            plan.warn(logging.WARNING, messages.INACTIVE_USER_TEMPLATE.format(**facts))
        elif role not in GRANTABLE_ROLES:
            kept.append(assignment)
            plan.warn(logging.ERROR, messages.UNKNOWN_ROLE_TEMPLATE.format(**facts))
        else:
            held = state.roles[user.id, course.course_key]
            key = (organization(course.course_key), role)
            grant = Grant(course.id, role, assignment_id, key not in held, assigned, course.course_key)
            plan.change.grant(grant, user.id)
            held.setdefault(key, None)
    course.assignments = kept


@lru_cache(maxsize=4096)
def organization(course_key: str) -> str:
    """Return the organization in a course key."""
    return CourseKey.from_string(course_key).org or ""


def _log_relink(state: SliceState, plan: Plan, former_user_id: int) -> None:
    enrollment, user = plan.target
    key = enrollment.external_user_key
    former = state.usernames.get(former_user_id, former_user_id)
    texts = (
        messages.EXISTING_USER_TEMPLATE.format(external_user_key=key, account_relation="a different", username=former),
        messages.RELINK_TEMPLATE.format(external_user_key=key, username=user.username),
    )
    plan.records += [(logging.INFO, text, None) for text in texts]
    roles = [
        f"{role} on {course.course_key}"
        for course in enrollment.courses
        for _, role in sorted(state.roles.get((former_user_id, course.course_key), ()))
    ]
    if roles:
        plan.warn(logging.WARNING, messages.ROLES_STAY_TEMPLATE.format(roles=", ".join(roles)))
