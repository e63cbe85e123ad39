"""The services that :mod:`linking.api` offers."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from opaque_keys.edx.keys import CourseKey

from linking import decide, engine, load, models, world, write
from linking.decide import Change, Plan
from linking.outcomes import Learner, Outcome, Result
from linking.world import World

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.db.models import QuerySet


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
    for start in range(0, len(learners), engine.SLICE_SIZE):
        ledger.learners = learners[start : start + engine.SLICE_SIZE]
        engine.link_slice(program, ledger)
    return {
        learner.external_user_key: message
        for learner in learners
        if (message := ledger.results[learner.position].message)
    }


def check_mapping(program_uuid: object, external_keys_to_usernames: object) -> tuple[UUID, list[Learner]]:
    """Return the program's UUID and the learners of a mapping.

    Raises:
        ValueError: as for :func:`link_program_enrollments`. The text tells the place of an entry, never who is in it.
    """
    if not isinstance(program_uuid, UUID | str):
        # Its type alone: it may be the mapping, in the wrong place.
        kind = "None" if program_uuid is None else f"of type {type(program_uuid).__name__}"
        msg = f"program_uuid is {kind}: expected a UUID or its string."
        raise ValueError(msg)
    try:
        program = program_uuid if isinstance(program_uuid, UUID) else UUID(program_uuid)
    except ValueError:
        msg = f"program_uuid={program_uuid!r} is not a UUID: expected 32 hexadecimal digits, with or without hyphens."
        raise ValueError(msg) from None
    if not isinstance(external_keys_to_usernames, Mapping):
        msg = (
            f"external_keys_to_usernames is a {type(external_keys_to_usernames).__name__}:"
            " expected a mapping of external user key to LMS username."
        )
        raise ValueError(msg)
    learners = []
    for position, (key, username) in enumerate(external_keys_to_usernames.items()):
        for name, value in (("external user key", key), ("LMS username", username)):
            if not isinstance(value, str):
                kind = "None" if value is None else f"of type {type(value).__name__}"
                msg = f"entry {position + 1} of external_keys_to_usernames: its {name} is {kind}, expected a string."
                raise ValueError(msg)
        learners.append(Learner(position=position, external_user_key=key, lms_username=username))
    return program, learners


def link_program_enrollment_to_lms_user(program_enrollment: models.ProgramEnrollment, user: "User") -> None:
    """Give a waiting program enrollment its LMS user, enroll the user in its course runs, grant the assigned roles.

    Raises:
        CourseEnrollmentException: the user could not be enrolled in one of the course runs.
        ValueError: a program course enrollment has a status that is neither active nor inactive.
        IntegrityError: the database refused, for example because the user holds another enrollment of the curriculum.
    """
    now = timezone.now()
    lms_user = world.User(id=user.pk, username=user.get_username(), is_active=user.is_active)
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
        fault = decide.course_fault(here, row.courses)
        if fault is not None:
            raise fault
        decide.link(here, row, lms_user, plan, change)
        engine.announce_on_commit(engine.write_plans(here, [plan], now, one_by_one=True))
    engine.log_plan(plan)
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
        decide.unlink(here, row, Change(row.user_id, None, row.courses))
        engine.announce_on_commit(engine.write_plans(here, [plan], now, one_by_one=True))
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
    course = world.ProgramCourseEnrollment(id=0, course_key=str(course_key), status=status, course_enrollment_id=None)
    with transaction.atomic():
        here = World()
        load.read_course_runs(here, [course.course_key], now)
        fault = decide.course_fault(here, [course])
        if fault is not None:
            raise fault
        load.read_course_enrollments(here, [], [(user.pk, course.course_key)])
        plan = Plan(
            learner=Learner(position=0, external_user_key="", lms_username=user.get_username()), outcome=Outcome.LINKED
        )
        decide.enroll(here, user.pk, course, plan, Change(None, user.pk, []))
        engine.announce_on_commit(engine.write_plans(here, [], now, one_by_one=True))
        enrollment = models.CourseEnrollment.objects.get(user=user, course_id=CourseKey.from_string(course.course_key))
    engine.log_plan(plan)
    return enrollment


def fetch_program_enrollments(
    program_uuid: UUID | str,
    *,
    curriculum_uuids: Collection[UUID | str] | None = None,
    users: Collection["User"] | None = None,
    external_user_keys: Collection[str] | None = None,
    program_enrollment_statuses: Collection[str] | None = None,
    realized_only: bool = False,
    waiting_only: bool = False,
) -> "QuerySet[models.ProgramEnrollment]":
    """Return the enrollments of a program that pass every filter that is not None.

    Raises:
        ValueError: both ``realized_only`` and ``waiting_only``, or a None among the keys.
    """
    if realized_only and waiting_only:
        msg = "realized_only and waiting_only exclude each other: pass one of them, or neither."
        raise ValueError(msg)
    if external_user_keys is not None and None in external_user_keys:
        msg = "external_user_keys holds a None: an enrollment without a key cannot be asked for by key."
        raise ValueError(msg)
    filters: dict[str, object] = {
        "curriculum_uuid__in": curriculum_uuids,
        "user__in": users,
        "external_user_key__in": external_user_keys,
        "status__in": program_enrollment_statuses,
        "user__isnull": waiting_only if realized_only or waiting_only else None,
    }
    given = {name: value for name, value in filters.items() if value is not None}
    return models.ProgramEnrollment.objects.filter(program_uuid=program_uuid, **given)


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


def _lock(program_enrollment: models.ProgramEnrollment) -> world.ProgramEnrollment:
    row = models.ProgramEnrollment.objects.select_for_update().get(pk=program_enrollment.pk)
    return world.ProgramEnrollment(
        id=row.pk,
        external_user_key=row.external_user_key,
        curriculum_uuid=row.curriculum_uuid,
        user_id=row.user_id,
        stored_user_id=row.user_id,
    )


def _plan_for(program_enrollment: models.ProgramEnrollment, outcome: Outcome) -> Plan:
    key = program_enrollment.external_user_key or ""
    return Plan(learner=Learner(position=0, external_user_key=key, lms_username=""), outcome=outcome)
