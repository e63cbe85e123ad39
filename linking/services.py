"""The services that :mod:`linking.api` offers."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from opaque_keys.edx.keys import CourseKey

from linking import models
from linking.engine import batch, load, rules, state, write
from linking.engine.change import Change
from linking.engine.rules import Plan
from linking.engine.state import World
from linking.mapping import check_mapping
from linking.outcomes import Learner, Outcome, Result

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def link_program_enrollments(program_uuid: UUID | str, external_keys_to_usernames: Mapping[str, str]) -> dict[str, str]:
    """Link each learner of a mapping, as if one after the other; the whole workflow, in process.

    Args:
        program_uuid: the program; a UUID or its string.
        external_keys_to_usernames: LMS username by external user key.

    Returns:
        The error dictionary: message by external user key of the learners that were not linked.

    Raises:
        ValueError: an invalid UUID, or a key or username that is not a string. Nothing was read or written.
    """
    program, learners = check_mapping(program_uuid, external_keys_to_usernames)
    ledger = _Memory()
    for start in range(0, len(learners), batch.SLICE_SIZE):
        ledger.learners = learners[start : start + batch.SLICE_SIZE]
        batch.link_slice(program, ledger)
    return {
        learner.external_user_key: message
        for learner in learners
        if (message := ledger.results[learner.position].message)
    }


def link_program_enrollment_to_lms_user(program_enrollment: models.ProgramEnrollment, user: "User") -> None:
    """Give a waiting program enrollment its LMS user, enroll the user in its course runs, grant the assigned roles.

    Raises:
        CourseEnrollmentException: the user could not be enrolled in one of the course runs.
        ValueError: a program course enrollment has a status that is neither active nor inactive.
        IntegrityError: the database refused, for example because the user holds another enrollment of the curriculum.
    """
    now = timezone.now()
    lms_user = state.User(id=user.pk, username=user.get_username(), is_active=user.is_active)
    with transaction.atomic():
        row = _lock(program_enrollment)
        here = World()
        load.read_courses(here, [(row, lms_user)], now)
        plan = _plan_for(program_enrollment, Outcome.LINKED)
        plan.enrollment, plan.user = row, lms_user
        change = Change(row.user_id, lms_user.id, row.courses)
        # First of all the user, as step 3.2 has it: who is held elsewhere is the database's to refuse.
        row.user_id = lms_user.id
        write.write_users([row], now)
        fault = rules.course_fault(here, row.courses)
        if fault is not None:
            raise fault
        rules.link(here, row, lms_user, plan, change)
        batch.announce_on_commit(batch.write_plans(here, [plan], now, one_by_one=True))
    batch.log_plan(plan)
    program_enrollment.user = user


def unlink_program_enrollment(program_enrollment: models.ProgramEnrollment) -> None:
    """Take a program enrollment from its LMS user: leave its course runs without refund, forget courses and user."""
    now = timezone.now()
    with transaction.atomic():
        row = _lock(program_enrollment)
        here = World()
        load.read_courses(here, [(row, None)], now)
        plan = _plan_for(program_enrollment, Outcome.LINKED)
        plan.enrollment = row
        rules.unlink(here, row, Change(row.user_id, None, row.courses))
        batch.announce_on_commit(batch.write_plans(here, [plan], now, one_by_one=True))
    program_enrollment.user = None


def enroll_in_masters_track(user: "User", course_key: CourseKey | str, status: str) -> models.CourseEnrollment:
    """Enroll a user in the Master's track of a course run and return the course enrollment.

    Args:
        user: the LMS user.
        course_key: the course run.
        status: of the program course enrollment, ``active`` or ``inactive``: a masters enrollment ends like it.

    Raises:
        NonExistentCourseError: the course run does not exist.
        ValueError: any other status.
    """
    now = timezone.now()
    course = state.ProgramCourseEnrollment(id=0, course_key=str(course_key), status=status, course_enrollment_id=None)
    with transaction.atomic():
        here = World()
        load.read_course_runs(here, [course.course_key], now)
        fault = rules.course_fault(here, [course])
        if fault is not None:
            raise fault
        load.read_course_enrollments(here, [], [(user.pk, course.course_key)])
        plan = Plan(
            learner=Learner(position=0, external_user_key="", lms_username=user.get_username()), outcome=Outcome.LINKED
        )
        rules.enroll(here, user.pk, course, plan, Change(None, user.pk, []))
        batch.announce_on_commit(batch.write_plans(here, [], now, one_by_one=True))
        enrollment = models.CourseEnrollment.objects.get(user=user, course_id=CourseKey.from_string(course.course_key))
    batch.log_plan(plan)
    return enrollment


class _Memory:
    """A ledger in memory: all that the in-process API needs."""

    def __init__(self) -> None:
        self.learners: Sequence[Learner] = ()
        self.results: dict[int, Result] = {}

    def claim(self, positions: Sequence[int] | None) -> list[Learner]:
        wanted = None if positions is None else set(positions)
        return [learner for learner in self.learners if wanted is None or learner.position in wanted]

    def record(self, results: Sequence[Result]) -> None:
        self.results |= {result.learner.position: result for result in results}


def _lock(program_enrollment: models.ProgramEnrollment) -> state.ProgramEnrollment:
    row = models.ProgramEnrollment.objects.select_for_update().get(pk=program_enrollment.pk)
    return state.ProgramEnrollment(
        id=row.pk,
        external_user_key=row.external_user_key,
        curriculum_uuid=row.curriculum_uuid,
        user_id=row.user_id,
        stored_user_id=row.user_id,
    )


def _plan_for(program_enrollment: models.ProgramEnrollment, outcome: Outcome) -> Plan:
    key = program_enrollment.external_user_key or ""
    return Plan(learner=Learner(position=0, external_user_key=key, lms_username=""), outcome=outcome)
