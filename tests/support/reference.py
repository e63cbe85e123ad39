"""Open edX's workflow of linking, step by step: one learner after the other, plain ORM, a save per row.

It is slow and simple on purpose, so that it can be compared with *The workflow* line by line. It shares with the engine
only the tables, the messages, the exceptions and the rule that folds a key.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone
from opaque_keys.edx.keys import CourseKey

from linking import messages
from linking.exceptions import CourseEnrollmentException, NonExistentCourseError
from linking.keys import fold_key
from linking.models import (
    CourseAccessRole,
    CourseAccessRoleAssignment,
    CourseEnrollment,
    CourseMode,
    CourseOverview,
    ProgramCourseEnrollment,
    ProgramEnrollment,
)
from linking.outcomes import Outcome
from tests.support.course_enrollments import Step, Steps

GRANTABLE_ROLES = frozenset({"staff"})


@dataclass(frozen=True, slots=True)
class Reference:
    """The error dictionary, outcome and warnings of every learner by external user key, and what is announced."""

    errors: dict[str, str] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    warnings: dict[str, list[str]] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)


class _Refused(Exception):  # noqa: N818 - no exception of the domain: how step 2 ends a learner
    def __init__(self, outcome: Outcome, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome


def link_program_enrollments(program_uuid: UUID | str, external_keys_to_usernames: Mapping[str, str]) -> Reference:
    """Link a mapping one learner after the other, in mapping order."""
    program = UUID(str(program_uuid))
    reference = Reference()
    for key, username in external_keys_to_usernames.items():
        warnings: list[str] = []
        steps = Steps()
        try:
            outcome = _link_learner(program, key, username, warnings, steps)
        except _Refused as refusal:
            outcome = refusal.outcome
            reference.errors[key] = str(refusal)
        except Exception as error:  # noqa: BLE001 - step 4: whatever goes wrong inside step 3
            outcome = _outcome_of(error)
            reference.errors[key] = messages.describe(error)
            warnings = []
            steps.taken.clear()
        reference.steps.extend(steps.taken)
        reference.outcomes[key] = outcome
        reference.warnings[key] = warnings
    return reference


def _link_learner(program: UUID, key: str, username: str, warnings: list[str], steps: Steps) -> Outcome:
    # Step 1.
    user = _user_named(username)
    enrollment = _enrollment_with_key(program, key)

    # Step 2: the first of these that holds.
    if user is None:
        raise _Refused(Outcome.NO_USER, messages.NO_LMS_USER_TEMPLATE.format(username=username))
    if enrollment is None:
        raise _Refused(
            Outcome.NO_ENROLLMENT,
            messages.NO_PROGRAM_ENROLLMENT_TEMPLATE.format(program_uuid=program, external_user_key=key),
        )
    if enrollment.user == user:
        raise _Refused(
            Outcome.ALREADY_LINKED,
            messages.EXISTING_USER_TEMPLATE.format(
                external_user_key=enrollment.external_user_key, account_relation="target", username=username
            ),
        )

    # Step 3, all or nothing.
    with transaction.atomic():
        former_user = enrollment.user
        if former_user is not None:
            _unlink(enrollment, warnings, steps)
        _link(enrollment, user, warnings, steps)
    return Outcome.LINKED if former_user is None else Outcome.RELINKED


def _user_named(username: str) -> User | None:
    """Find the LMS user by exact username, whatever the database's rules for case."""
    return next((user for user in get_user_model().objects.all() if user.username == username), None)


def _enrollment_with_key(program: UUID, key: str) -> ProgramEnrollment | None:
    """Find the program enrollment without regard to case: an exact key wins, then the newest."""
    matches = [
        enrollment
        for enrollment in ProgramEnrollment.objects.filter(program_uuid=program, external_user_key__isnull=False)
        if fold_key(str(enrollment.external_user_key)) == fold_key(key)
    ]
    return max(matches, key=lambda enrollment: (enrollment.external_user_key == key, enrollment.pk), default=None)


def _unlink(enrollment: ProgramEnrollment, warnings: list[str], steps: Steps) -> None:
    """Step 3.1: remove the present user."""
    warnings.extend(_roles_that_stay(enrollment))
    for program_course_enrollment in enrollment.program_course_enrollments.order_by("id"):
        course_enrollment = program_course_enrollment.course_enrollment
        if course_enrollment is None:
            continue
        mode = "audit" if _offers_audit(course_enrollment.course_id) else None
        steps.update_enrollment(course_enrollment, is_active=False, mode=mode, skip_refund=True)
        program_course_enrollment.course_enrollment = None
        program_course_enrollment.save()
    enrollment.user = None
    enrollment.save()


def _offers_audit(course_key: CourseKey) -> bool:
    now = timezone.now()
    offered = [
        mode.mode_slug
        for mode in CourseMode.objects.filter(course_id=course_key)
        if mode.mode_slug != "credit" and (mode.expiration_datetime is None or mode.expiration_datetime > now)
    ]
    return "audit" in offered or not offered


def _roles_that_stay(enrollment: ProgramEnrollment) -> Iterator[str]:
    """Warn of the roles that the present user keeps on the enrollment's course runs."""
    courses = [row.course_key for row in enrollment.program_course_enrollments.all()]
    held = CourseAccessRole.objects.filter(user=enrollment.user, course_id__in=courses)
    if held:
        roles = ", ".join(sorted(f"{role.role} on {role.course_id}" for role in held))
        yield messages.ROLES_STAY_TEMPLATE.format(roles=roles)


def _link(enrollment: ProgramEnrollment, user: User, warnings: list[str], steps: Steps) -> None:
    """Steps 3.2 and 3.3: link the user, enroll in the course runs, and grant the roles."""
    enrollment.user = user
    enrollment.save()
    for program_course_enrollment in enrollment.program_course_enrollments.order_by("id"):
        program_course_enrollment.course_enrollment = enroll_in_masters_track(
            user, program_course_enrollment.course_key, program_course_enrollment.status, steps
        )
        program_course_enrollment.save()
        for assignment in program_course_enrollment.courseaccessroleassignment_set.order_by("id"):
            warnings.extend(_grant(assignment, program_course_enrollment, user, steps))


def enroll_in_masters_track(user: User, course_key: CourseKey, status: str, steps: Steps) -> CourseEnrollment:
    """Step 3.2 for one course run.

    Raises:
        NonExistentCourseError: there is no such course run.
        ValueError: the status is neither active nor inactive.
    """
    if not CourseOverview.objects.filter(id=course_key).exists():
        raise NonExistentCourseError
    if status not in {ProgramCourseEnrollment.Status.ACTIVE, ProgramCourseEnrollment.Status.INACTIVE}:
        raise ValueError(messages.UNEXPECTED_STATUS_TEMPLATE.format(status=status))

    course_enrollment = CourseEnrollment.objects.filter(user=user, course_id=course_key).first()
    if course_enrollment is not None and course_enrollment.is_active:
        if course_enrollment.mode in {"audit", "honor"}:
            steps.change_mode(course_enrollment, "masters")
    else:
        course_enrollment = steps.enroll(user, course_key, "masters")
    if course_enrollment.mode == "masters" and status == ProgramCourseEnrollment.Status.INACTIVE:
        steps.deactivate(course_enrollment)
    return course_enrollment


def _grant(
    assignment: CourseAccessRoleAssignment,
    program_course_enrollment: ProgramCourseEnrollment,
    user: User,
    steps: Steps,
) -> Iterator[str]:
    """Step 3.3: grant an assigned role and delete the assignment, or warn and leave it."""
    course_key: CourseKey = program_course_enrollment.course_key
    facts: dict[str, Any] = {"role": assignment.role, "course_key": course_key}
    if not user.is_active:
        yield messages.INACTIVE_USER_TEMPLATE.format(**facts)
    elif assignment.role not in GRANTABLE_ROLES:
        yield messages.UNKNOWN_ROLE_TEMPLATE.format(**facts)
    else:
        with _never_failing_the_learner() as failures:
            steps.add_role(user, course_key, assignment.role)
            assignment.delete()
        yield from (messages.ROLE_FAILED_TEMPLATE.format(**facts, error=error) for error in failures)


@contextmanager
def _never_failing_the_learner() -> Iterator[list[str]]:
    """Run a grant in a savepoint of its own and collect its failure instead of raising it."""
    failures: list[str] = []
    try:
        with transaction.atomic():
            yield failures
    except Exception as error:  # noqa: BLE001 - a role never fails the learner
        failures.append(messages.describe(error))


def _outcome_of(error: Exception) -> Outcome:
    if isinstance(error, CourseEnrollmentException):
        return Outcome.COURSE_ERROR
    if isinstance(error, IntegrityError):
        return Outcome.CONFLICT
    return Outcome.ERROR
