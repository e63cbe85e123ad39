"""The one engine: it takes a slice through the workflow, for the in-process API and for the worker alike.

A slice is read, decided and written in one transaction. Learners bound to collide in the database run apart, one after
the other, with all who interfere with them, so that the database's own text becomes the message of the one at fault.
Should the transaction fail all the same, the slice is halved until the guilty learner stands alone.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Protocol
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from opaque_keys.edx.keys import CourseKey

from linking import messages, models
from linking.engine import load, rules, write
from linking.engine.interference import Groups
from linking.engine.rules import Plan
from linking.engine.state import CourseEnrollment, World
from linking.exceptions import CourseEnrollmentException
from linking.outcomes import Learner, Outcome, Result
from linking.signals import course_enrollment_changed
from linking.sql.errors import ATTEMPTS, is_contention, is_outage, pause

learners_log = logging.getLogger("linking.learners")

SLICE_SIZE = 1_000
"""Learners that one transaction takes on, at most."""


class Ledger(Protocol):
    """Where the engine gets its learners and leaves their outcomes; both happen inside the engine's transaction."""

    def claim(self, positions: Sequence[int] | None) -> list[Learner]:
        """Lock and return, in mapping order, the learners still open: all of the slice, or those at ``positions``."""

    def record(self, results: Sequence[Result]) -> None:
        """Write the outcomes of learners that :meth:`claim` returned in this transaction."""


Step = Callable[[Sequence[int] | None, list[Learner]], list[int]]
"""Settle the open learners at some positions (None: all) in one transaction, noting them in the list given; return the
positions of those that must run apart."""


def link_slice(program_uuid: UUID, ledger: Ledger) -> None:
    """Take all learners that ``ledger`` has open through the workflow.

    Raises:
        DatabaseError: the database is out of reach or stopping. What is recorded by then stands, the rest is untouched.
    """
    settle(partial(_link_together, program_uuid, ledger), ledger)


def rehearse_slice(program_uuid: UUID, ledger: Ledger) -> None:
    """Do what :func:`link_slice` does and take it back: ``ledger`` has the outcomes, no row and no signal is left."""
    rehearse(partial(_link_together, program_uuid, ledger), ledger)


def rehearse(step: Step, ledger: Ledger) -> None:
    """Do what :func:`settle` does and take it back."""
    with transaction.atomic():
        settle(step, ledger)
        connection.check_constraints()
        transaction.set_rollback(True)


def settle(step: Step, ledger: Ledger, positions: Sequence[int] | None = None) -> None:
    """Take ``step`` for all open learners at once; where that fails, for halves of them, down to the one at fault."""
    learners: list[Learner] = []
    try:
        apart = _retried(lambda: step(positions, learners))
    except Exception as error:
        if is_outage(error) or not learners:
            raise
        if len(learners) == 1:
            _record_failure(ledger, learners[0], error)
            return
        # Halves in the ledger's order, one after the other: the outcome is that of the slice as a whole.
        places = [learner.position for learner in learners]
        middle = len(places) // 2
        settle(step, ledger, places[:middle])
        settle(step, ledger, places[middle:])
    else:
        for position in apart:
            settle(step, ledger, [position])


def _retried(attempt: Callable[[], list[int]]) -> list[int]:
    for count in range(ATTEMPTS):
        try:
            return attempt()
        except Exception as error:
            # Inside a transaction of our caller's there is nothing to retry: it is lost as a whole.
            hopeless = connection.in_atomic_block or count == ATTEMPTS - 1
            if hopeless or not (isinstance(error, write.StaleReadError) or is_contention(error)):
                raise
            time.sleep(pause(count))
    raise AssertionError


def _link_together(
    program_uuid: UUID, ledger: Ledger, positions: Sequence[int] | None, learners: list[Learner]
) -> list[int]:
    """Link what ``ledger`` has open in one transaction; return the positions of those that must run apart.

    ``learners`` is filled with those taken on, for the caller to know should the transaction fail.
    """
    now = timezone.now()
    with transaction.atomic():
        learners[:] = ledger.claim(positions)
        if not learners:
            return []
        world = load.load_slice(program_uuid, learners, now)
        plans = [rules.plan(world, program_uuid, learner) for learner in learners]
        alone = len(plans) == 1
        apart = set() if alone else _bound_to_collide(plans)
        plans = [plan for plan in plans if plan.learner.position not in apart]
        for plan in plans:
            if plan.collides:
                _let_the_database_decide(plan, now)
            if plan.fault is not None:
                plan.fail(outcome_of(plan.fault), plan.fault)
            elif plan.goes_ahead:
                rules.apply(world, plan)
        changed = write_plans(world, [plan for plan in plans if plan.goes_ahead], now, one_by_one=alone)
        ledger.record([plan.result() for plan in plans])
        announce_on_commit(changed)
    for plan in plans:
        log_plan(plan)
    return sorted(apart)


def write_plans(world: World, plans: Sequence[Plan], now: datetime, *, one_by_one: bool) -> list[CourseEnrollment]:
    """Write what ``plans`` did to the rows in memory; return the course enrollments that changed."""
    enrollments = {plan.enrollment.id: plan.enrollment for plan in plans if plan.enrollment}.values()
    write.write_users(enrollments, now)
    changed = write.write_course_enrollments(world, now)
    write.write_pointers((course for enrollment in enrollments for course in enrollment.courses), now)
    write.write_roles(plans, one_by_one=one_by_one)
    return changed


def announce_on_commit(changed: Sequence[CourseEnrollment]) -> None:
    """Send ``course_enrollment_changed`` for each of ``changed`` once the transaction is committed."""
    if not changed or not course_enrollment_changed.has_listeners(models.CourseEnrollment):
        return

    def announce() -> None:
        for row in changed:
            course_enrollment = models.CourseEnrollment(
                id=row.id,
                user_id=row.user_id,
                course_id=CourseKey.from_string(row.course_key),
                is_active=row.is_active,
                mode=row.mode,
                created=row.created or timezone.now(),
            )
            course_enrollment._state.adding = False  # noqa: SLF001 - as Django does for a row from the database
            course_enrollment._state.db = connection.alias  # noqa: SLF001
            # A receiver that raises is logged by Django and harms nobody else.
            course_enrollment_changed.send_robust(
                models.CourseEnrollment,
                course_enrollment=course_enrollment,
                created=row.stored is None,
                skip_refund=row.skip_refund,
            )

    transaction.on_commit(announce, robust=True)


def outcome_of(error: BaseException) -> Outcome:
    """Return the outcome of a learner whose step 3 ended with ``error``."""
    if isinstance(error, CourseEnrollmentException):
        return Outcome.COURSE_ERROR
    return Outcome.CONFLICT if isinstance(error, IntegrityError) else Outcome.ERROR


def _bound_to_collide(plans: Sequence[Plan]) -> set[int]:
    """Return the positions of the learners that will collide, and of all who interfere with them."""
    if not any(plan.collides for plan in plans):
        return set()
    groups = Groups()
    for plan in plans:
        groups.add(plan.learner.position, rules.tokens(plan))
    colliding = {groups.of(plan.learner.position) for plan in plans if plan.collides}
    return {plan.learner.position for plan in plans if groups.of(plan.learner.position) in colliding}


def _let_the_database_decide(plan: Plan, now: datetime) -> None:
    """Set the user that is held elsewhere: the database raises, in its own words, before anything else can go wrong."""
    if plan.enrollment is None or plan.user is None:
        raise AssertionError(plan.outcome)
    plan.enrollment.user_id = plan.user.id
    write.write_users([plan.enrollment], now)
    if plan.fault is not None:
        raise plan.fault


def _record_failure(ledger: Ledger, learner: Learner, error: Exception) -> None:
    result = Result(learner=learner, outcome=outcome_of(error), message=messages.describe(error))
    with transaction.atomic():
        still_open = bool(ledger.claim([learner.position]))
        if still_open:
            ledger.record([result])
    if still_open:
        learners_log.warning(result.message, exc_info=error)


def log_plan(plan: Plan) -> None:
    """Log what is to be said of a learner whose outcome stands."""
    for level, text in plan.records:
        learners_log.log(level, text)
    if plan.message:
        learners_log.warning(plan.message, exc_info=plan.fault)
