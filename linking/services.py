"""The services and queries that :mod:`linking.api` offers.

A service that loses against another transaction (a deadlock, a serialization failure) runs again. It raises Django's
``OperationalError`` where that does not help, or after waiting for a lock as long as the connection's ``lock_timeout``
says. Inside a transaction of the caller it raises at once: that transaction is lost, and must run again as a whole.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import transaction
from django.db.models.expressions import RawSQL
from django.utils import timezone
from opaque_keys.edx.keys import CourseKey

from linking import models
from linking.engine import batch, load, rules
from linking.engine.rules import Plan
from linking.engine.state import ProgramCourseEnrollment, SliceState, User
from linking.keys import is_storable
from linking.mapping import check_mapping, warn_of_same_keys
from linking.outcomes import Learner, Outcome, Result
from linking.sql import FoldedKey, dialect, folded

if TYPE_CHECKING:
    from django.contrib.auth.models import User as LmsUser
    from django.db.models import QuerySet


def link_program_enrollments(program_uuid: UUID | str, external_keys_to_usernames: Mapping[str, str]) -> dict[str, str]:
    """Link each learner of a mapping, as if one after the other; the whole workflow, in process.

    Of two keys that differ only in case the later wins, with a warning in the log. Keys and usernames are taken as they
    are: white space around them is not removed, and an empty one is looked up like any other.

    Args:
        program_uuid: the program; a UUID or its string.
        external_keys_to_usernames: LMS username by external user key.

    Returns:
        The error dictionary: message by external user key of the learners that were not linked.

    Raises:
        ValueError: an invalid UUID, or a key or username that is not a string. Nothing was read or written.
        DatabaseError: an outage, or contention that lasts. Of a large mapping, learners linked by then stay linked.
    """
    program, learners = check_mapping(program_uuid, external_keys_to_usernames)
    learners = warn_of_same_keys(learners)
    messages: dict[int, str] = {}
    for start in range(0, len(learners), batch.SLICE_SIZE):
        batch.link_slice(program, _MemoryLedger(learners[start : start + batch.SLICE_SIZE], messages))
    return {learner.external_user_key: text for learner in learners if (text := messages[learner.position])}


def link_program_enrollment_to_lms_user(program_enrollment: models.ProgramEnrollment, user: "LmsUser") -> None:
    """Set the LMS user of a waiting program enrollment, enroll the user in its course runs, grant the assigned roles.

    Raises:
        CourseEnrollmentException: the user could not be enrolled in one of the course runs.
        ValueError: a program course enrollment has a status that is neither active nor inactive.
        IntegrityError: the database refused, for example because the user holds another enrollment of the curriculum.
    """
    lms_user = User(id=user.pk, username=user.get_username(), is_active=user.is_active)

    def link(state: SliceState, plan: Plan) -> None:
        plan.fault = rules.course_fault(state, plan.target[0].courses)
        batch.write_user_first(plan, timezone.now())
        rules.link(state, plan)

    _write(link, program_enrollment, lms_user)
    program_enrollment.user = user


def unlink_program_enrollment(program_enrollment: models.ProgramEnrollment) -> None:
    """Remove the LMS user of a program enrollment, and leave its course runs without refund."""

    def unlink(state: SliceState, plan: Plan) -> None:
        if plan.enrollment:
            rules.unlink(state, plan.enrollment, plan.change)

    _write(unlink, program_enrollment)
    program_enrollment.user = None


def enroll_in_masters_track(user: "LmsUser", course_key: CourseKey | str, status: str) -> models.CourseEnrollment:
    """Enroll a user in the Master's track of a course run and return the course enrollment.

    ``status`` is of the program course enrollment, ``active`` or ``inactive``; a masters enrollment ends the same.

    Raises:
        NonExistentCourseError: the course run does not exist.
        ValueError: any other status.
    """
    now = timezone.now()
    course = ProgramCourseEnrollment(
        id=0, course_key=str(course_key), status=status, course_enrollment_id=None, modified=now
    )

    def enroll(state: SliceState, plan: Plan) -> None:
        load.read_course_runs(state, [course.course_key], now)
        if fault := rules.course_fault(state, [course]):
            raise fault
        load.read_course_enrollments(state, [], [(user.pk, course.course_key)], lock=dialect().value_lock)
        rules.enroll(state, user.pk, course, plan)

    _write(enroll)
    return models.CourseEnrollment.objects.get(user=user, course_id=CourseKey.from_string(course.course_key))


def fetch_program_enrollments(
    program_uuid: UUID | str,
    *,
    curriculum_uuids: Collection[UUID | str] | None = None,
    users: Collection["LmsUser"] | None = None,
    external_user_keys: Collection[str] | None = None,
    program_enrollment_statuses: Collection[str] | None = None,
    realized_only: bool = False,
    waiting_only: bool = False,
) -> "QuerySet[models.ProgramEnrollment]":
    """Return the enrollments of a program that pass every filter that is not None; keys match without regard to case.

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
        "folded__in": None if external_user_keys is None else _folded(external_user_keys),
        "status__in": program_enrollment_statuses,
        "user__isnull": waiting_only if realized_only or waiting_only else None,
    }
    given = {name: value for name, value in filters.items() if value is not None}
    enrollments = models.ProgramEnrollment.objects.alias(folded=FoldedKey("external_user_key"))
    if external_user_keys is not None and not dialect().indexes_folded_keys:
        keys = (spelling for key in external_user_keys if is_storable(key) for spelling in dialect().spellings(key))
        enrollments = enrollments.filter(external_user_key__in=set(keys))
    return enrollments.filter(program_uuid=program_uuid, **given)


def _folded(keys: Collection[str]) -> RawSQL:
    """Return a subquery of the folded keys: one parameter however many they are, folded by the database."""
    # A text that no database can store matches no row, and would fail the statement.
    rows = [(key,) for key in keys if is_storable(key)]
    rows_sql, parameters = dialect().rowset("wanted", {"external_key": "text"}, rows)
    return RawSQL(f"SELECT {folded('external_key')} FROM {rows_sql}", parameters)  # noqa: S611 - as in the engine


@dataclass(frozen=True, slots=True)
class _MemoryLedger:
    """A ledger in memory, for the in-process API; ``messages`` are by position."""

    learners: Sequence[Learner]
    messages: dict[int, str]

    def claim(self, positions: Sequence[int] | None) -> list[Learner]:
        wanted = None if positions is None else set(positions)
        return [learner for learner in self.learners if wanted is None or learner.position in wanted]

    def record(self, results: Sequence[Result]) -> None:
        self.messages.update({result.learner.position: result.message for result in results})


def _write(
    change: Callable[[SliceState, Plan], None],
    program_enrollment: models.ProgramEnrollment | None = None,
    user: User | None = None,
) -> None:
    """Lock and read a program enrollment, if given, let ``change`` change it in memory, then write it."""

    def write() -> Plan:
        now = timezone.now()
        state = SliceState()
        learner = Learner(position=0, external_user_key="", lms_username="")
        plan = Plan(learner=learner, outcome=Outcome.LINKED, user=user)
        with transaction.atomic():
            if program_enrollment:
                plan.enrollment = load.read_enrollments_by_id([program_enrollment.pk]).get(program_enrollment.pk)
                if plan.enrollment is None:
                    raise models.ProgramEnrollment.DoesNotExist
                load.read_courses(state, [(plan.enrollment, user)], now)
            change(state, plan)
            batch.write_plans(state, [plan], now, one_by_one=True)
        return plan

    batch.write_log([batch.retry(write)])
