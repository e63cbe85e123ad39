"""The rules of linking, learner by learner, on plain values: what becomes of each, and what its rows shall hold.

:func:`plan` finds out what becomes of a learner and changes nothing but who holds what; :func:`apply` carries the plan
out on the rows in memory. Two steps, because a learner who is bound to collide in the database, and all who interfere
with it, must be left out of a slice's writes before the first row is changed. Source of the rules: ``linking.md``.
"""

import logging
from dataclasses import dataclass, field
from functools import lru_cache
from uuid import UUID

from opaque_keys.edx.keys import CourseKey

from linking import messages
from linking.engine.change import Change, SpentRole
from linking.engine.state import CourseEnrollment, ProgramCourseEnrollment, ProgramEnrollment, User, World
from linking.exceptions import NonExistentCourseError
from linking.keys import fold_key
from linking.outcomes import Learner, Outcome, Result

MASTERS = "masters"
AUDIT = "audit"
MODES_THAT_BECOME_MASTERS = frozenset({AUDIT, "honor"})
ACTIVE, INACTIVE = "active", "inactive"
GRANTABLE_ROLES = frozenset({"staff"})
"""Roles that an assignment may grant; another one is another name here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A course role to be granted for the assignment of a program course enrollment."""

    user_id: int
    org: str
    course_key: str
    role: str
    assignment_id: int


@dataclass(slots=True, kw_only=True, eq=False)
class Plan:
    """What shall become of a learner.

    Attributes:
        enrollment, user: the rows concerned, None where they were not found.
        former_user_id: the user that a relink takes the enrollment from.
        fault: why step 3 must be undone, known before it is done.
        collides: the user holds another enrollment of the program and curriculum; the database is to say what follows.
        records: what to log (level, text) once the outcome stands.
        grants: the roles to grant, each with the assignment that is then done with.
        change: what :func:`apply` did, for the ledger.
    """

    learner: Learner
    outcome: Outcome
    message: str = ""
    enrollment: ProgramEnrollment | None = None
    user: User | None = None
    former_user_id: int | None = None
    fault: Exception | None = None
    collides: bool = False
    warnings: list[str] = field(default_factory=list)
    records: list[tuple[int, str]] = field(default_factory=list)
    grants: list[Grant] = field(default_factory=list)
    change: Change | None = None

    @property
    def goes_ahead(self) -> bool:
        """Whether there is anything to carry out."""
        return self.outcome in {Outcome.LINKED, Outcome.RELINKED}

    def warn(self, level: int, text: str) -> None:
        """Keep ``text`` as a warning of the learner, who is linked nevertheless, and log it at ``level``."""
        self.warnings.append(text)
        self.records.append((level, text))

    def fail(self, outcome: Outcome, fault: Exception) -> None:
        """Let the learner end with ``fault``: nothing of what was planned has happened."""
        self.outcome, self.fault, self.message = outcome, fault, messages.describe(fault)
        self.warnings, self.records, self.change = [], [], None

    def refuse_grant(self, grant: Grant, error: str) -> None:
        """Take note that the database refused ``grant``: its assignment stays."""
        self.grants.remove(grant)
        if self.change is not None:
            self.change.roles = [role for role in self.change.roles if role.assignment_id != grant.assignment_id]
        text = messages.ROLE_FAILED_TEMPLATE.format(role=grant.role, course_key=grant.course_key, error=error)
        self.warn(logging.ERROR, text)

    def result(self) -> Result:
        """Return what became of the learner, once its rows are written."""
        return Result(
            learner=self.learner,
            outcome=self.outcome,
            message=self.message,
            warnings=self.warnings,
            before={"enrollment": self.enrollment.id, **self.change.as_json()}
            if self.change and self.enrollment
            else None,
        )


def find_enrollment(world: World, external_user_key: str) -> ProgramEnrollment | None:
    """Return the program enrollment of a key without regard to case: an exact match first, then the newest."""
    matches = world.enrollments.get(fold_key(external_user_key), ())
    return max(matches, key=lambda match: (match.external_user_key == external_user_key, match.id), default=None)


def plan(world: World, program_uuid: UUID, learner: Learner) -> Plan:
    """Find out what becomes of ``learner`` once those before it are done, and note who holds the enrollment then."""
    user = world.users.get(learner.lms_username)
    if user is None:
        return _refusal(learner, Outcome.NO_USER, messages.NO_LMS_USER_TEMPLATE.format(username=learner.lms_username))
    enrollment = find_enrollment(world, learner.external_user_key)
    if enrollment is None:
        text = messages.NO_PROGRAM_ENROLLMENT_TEMPLATE.format(
            program_uuid=program_uuid, external_user_key=learner.external_user_key
        )
        return _refusal(learner, Outcome.NO_ENROLLMENT, text)
    former = enrollment.user_id
    if former == user.id:
        text = messages.EXISTING_USER_TEMPLATE.format(
            external_user_key=enrollment.external_user_key, account_relation="target", username=user.username
        )
        return _refusal(learner, Outcome.ALREADY_LINKED, text)

    holder = world.holders.get((user.id, enrollment.curriculum_uuid))
    made = Plan(
        learner=learner,
        outcome=Outcome.LINKED if former is None else Outcome.RELINKED,
        enrollment=enrollment,
        user=user,
        former_user_id=former,
        fault=course_fault(world, enrollment.courses),
        collides=holder is not None,
    )
    if made.fault is None and not made.collides:
        if former is not None:
            world.holders.pop((former, enrollment.curriculum_uuid), None)
        world.holders[user.id, enrollment.curriculum_uuid] = enrollment.id
        enrollment.user_id = user.id
    return made


def tokens(plan: Plan) -> list[object]:
    """Return what the learner of ``plan`` shares with those it interferes with: its key, and each user it touches."""
    shared: list[object] = [fold_key(plan.learner.external_user_key), ("name", plan.learner.lms_username)]
    if plan.user is not None:
        shared.append(plan.user.id)
    if plan.enrollment is not None:
        shared.append(plan.enrollment.stored_user_id)
        shared.extend(course.points_at.user_id for course in plan.enrollment.courses if course.points_at)
    return [token for token in shared if token is not None]


def apply(world: World, plan: Plan) -> None:
    """Carry ``plan`` out on the rows in memory: unlink a former user, link the new one, grant its roles."""
    enrollment, user = plan.enrollment, plan.user
    if enrollment is None or user is None:
        msg = f"a learner without user or enrollment cannot be linked: {plan.outcome}"
        raise AssertionError(msg)
    change = plan.change = Change(plan.former_user_id, user.id, enrollment.courses)
    if plan.former_user_id is not None:
        _say_relink(world, plan, enrollment, user, plan.former_user_id)
        unlink(world, enrollment, change)
    link(world, enrollment, user, plan, change)
    change.done()


def unlink(world: World, enrollment: ProgramEnrollment, change: Change) -> None:
    """Take the enrollment from its user: leave its realized course runs without refund, forget courses and user."""
    for course in enrollment.courses:
        row = course.points_at
        if row is None:
            continue
        change.about_to_change(row)
        offered = world.modes.get(row.course_key)
        row.is_active = False
        if offered is None or AUDIT in offered:
            row.mode = AUDIT
        row.skip_refund = True
        course.points_at = None
    enrollment.user_id = None


def link(world: World, enrollment: ProgramEnrollment, user: User, plan: Plan, change: Change) -> None:
    """Give the enrollment its user, the user its place in the Master's track of each course run, and its roles."""
    enrollment.user_id = user.id
    for course in enrollment.courses:
        course.points_at = enroll(world, user.id, course, plan, change)
        if course.assignments:
            _grant_roles(world, user, course, plan, change)


def enroll(world: World, user_id: int, course: ProgramCourseEnrollment, plan: Plan, change: Change) -> CourseEnrollment:
    """Enroll the user in the Master's track of a course run that exists, and return the course enrollment."""
    row = world.course_enrollments.get((user_id, course.course_key))
    if row is None:
        row = CourseEnrollment(
            id=None, user_id=user_id, course_key=course.course_key, is_active=True, mode=MASTERS, stored=None
        )
        world.course_enrollments[user_id, course.course_key] = row
        change.about_to_change(row, created=True)
    else:
        change.about_to_change(row)
        if not row.is_active or row.mode in MODES_THAT_BECOME_MASTERS:
            row.is_active, row.mode = True, MASTERS
        elif row.mode != MASTERS:
            text = messages.OTHER_MODE_TEMPLATE.format(course_key=course.course_key, mode=row.mode)
            plan.warn(logging.ERROR, text)
    if row.mode == MASTERS and course.status == INACTIVE:
        row.is_active = False
    return row


def course_fault(world: World, courses: list[ProgramCourseEnrollment]) -> Exception | None:
    """Return the exception that enrolling in ``courses`` ends with, None where all can be enrolled in."""
    try:
        for course in courses:
            if course.course_key not in world.courses:
                raise NonExistentCourseError  # noqa: TRY301 - raised to have its traceback
            if course.status not in {ACTIVE, INACTIVE}:
                raise ValueError(messages.UNEXPECTED_STATUS_TEMPLATE.format(status=course.status))  # noqa: TRY301
    except (NonExistentCourseError, ValueError) as fault:
        return fault
    return None


def _grant_roles(world: World, user: User, course: ProgramCourseEnrollment, plan: Plan, change: Change) -> None:
    kept = []
    for assignment in course.assignments:
        assignment_id, role, assigned = assignment
        if not user.is_active:
            kept.append(assignment)
            text = messages.INACTIVE_USER_TEMPLATE.format(role=role, course_key=course.course_key)
            plan.warn(logging.WARNING, text)
            continue
        if role not in GRANTABLE_ROLES:
            kept.append(assignment)
            plan.warn(logging.ERROR, messages.UNKNOWN_ROLE_TEMPLATE.format(role=role, course_key=course.course_key))
            continue
        org = organization(course.course_key)
        held = world.roles[user.id, course.course_key]
        granted = (org, role) not in held
        held.add((org, role))
        change.roles.append(SpentRole(course.id, role, assignment_id, granted, assigned.isoformat()))
        plan.grants.append(
            Grant(user_id=user.id, org=org, course_key=course.course_key, role=role, assignment_id=assignment_id)
        )
    course.assignments = kept


@lru_cache(maxsize=4096)
def organization(course_key: str) -> str:
    """Return the organization that a course key names."""
    return CourseKey.from_string(course_key).org or ""


def _say_relink(world: World, plan: Plan, enrollment: ProgramEnrollment, user: User, former_user_id: int) -> None:
    plan.records += [
        (
            logging.INFO,
            messages.EXISTING_USER_TEMPLATE.format(
                external_user_key=enrollment.external_user_key,
                account_relation="a different",
                username=world.usernames.get(former_user_id, former_user_id),
            ),
        ),
        (
            logging.INFO,
            messages.RELINK_TEMPLATE.format(external_user_key=enrollment.external_user_key, username=user.username),
        ),
    ]
    roles = [
        f"{role} on {course.course_key}"
        for course in enrollment.courses
        for _, role in sorted(world.roles.get((former_user_id, course.course_key), ()))
    ]
    if roles:
        plan.warn(logging.WARNING, messages.ROLES_STAY_TEMPLATE.format(roles=", ".join(roles)))


def _refusal(learner: Learner, outcome: Outcome, message: str) -> Plan:
    return Plan(learner=learner, outcome=outcome, message=message)
