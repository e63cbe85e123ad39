"""The engine: the one implementation of the workflow, for the in-process API and for the worker alike.

A slice is read, decided and written in one transaction. Learners that will collide in the database run isolated: one
after the other, with all that interfere with them, each in a transaction of its own, so that the database's own text
becomes the message of the one at fault. Should the transaction fail all the same, the slice is halved until the learner
at fault is alone.
"""

import logging
import random
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Protocol, TypeVar
from uuid import UUID

from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone

from linking import messages
from linking.engine import history, load, rules, write
from linking.engine.interference import group, tokens
from linking.engine.rules import Plan
from linking.engine.state import SliceState
from linking.exceptions import CourseEnrollmentException, StaleReadError
from linking.outcomes import Learner, Outcome, Result
from linking.sql import is_contention, is_lock_timeout, is_transient

T = TypeVar("T")

learners_log = logging.getLogger("linking.learners")

SLICE_SIZE = 1_000
"""Learners that one transaction links, at most."""
ATTEMPTS = 8
"""Attempts of a transaction before its contention is raised."""


class Ledger(Protocol):
    """The engine's source of learners and store of results; both methods run inside the engine's transaction."""

    def claim(self, positions: Sequence[int] | None) -> list[Learner]:
        """Lock and return, in mapping order, the learners still open: all of the slice, or those at ``positions``."""

    def record(self, results: Sequence[Result]) -> None:
        """Write the results of learners that :meth:`claim` returned in this transaction."""


Processed = tuple[list[Result], list[int]]
"""Results to record, and positions that must run isolated."""
Step = Callable[[list[Learner]], Processed]
"""Process learners, inside a transaction."""


def link_slice(program_uuid: UUID, ledger: Ledger, *, job_id: UUID | None = None, dry_run: bool = False) -> None:
    """Link all learners that ``ledger`` has open; the LMS's history names the job ``job_id``.

    A dry run rolls everything back: ``ledger`` gets the results, no row is changed. It is one
    transaction, which may begin anew: ``ledger`` then forgets what it recorded before it was asked for all learners.

    Raises:
        DatabaseError: an outage, or contention that lasts. Recorded learners stay linked, the rest is untouched.
    """
    run_step(partial(_link, program_uuid, job_id), ledger, dry_run=dry_run)


def run_step(step: Step, ledger: Ledger, *, dry_run: bool) -> None:
    """Run ``step`` for all open learners; see :func:`link_slice`."""
    if dry_run:
        retry(partial(_rehearse, step, ledger))
    else:
        _run(step, ledger)


def retry(work: Callable[[], T]) -> T:
    """Run ``work``, which is one transaction, again while it loses against others; return its result.

    Inside a transaction of the caller only a stale read is tried again: after contention that transaction is lost.

    Raises:
        DatabaseError: contention that lasts, or a lock timeout: waiting on would keep a process from other work.
    """
    for count in range(ATTEMPTS):
        try:
            return work()
        except (DatabaseError, StaleReadError) as error:
            is_final = is_lock_timeout(error) or connection.in_atomic_block or not is_contention(error)
            if count == ATTEMPTS - 1 or (is_final and not isinstance(error, StaleReadError)):
                raise
            # Doubling up to 2 seconds, with full jitter.
            time.sleep(random.uniform(0, min(2.0, 0.02 * 2**count)))  # noqa: S311 - jitter, not secrecy
    raise AssertionError


def _rehearse(step: Step, ledger: Ledger) -> None:
    def check(learners: list[Learner]) -> Processed:
        processed = step(learners)
        if connection.features.can_defer_constraint_checks:
            connection.check_constraints()  # Those that a commit would check.
        return processed

    with transaction.atomic():
        _run(check, ledger)
        transaction.set_rollback(True)


def _run(step: Step, ledger: Ledger, positions: Sequence[int] | None = None) -> None:
    learners: list[Learner] = []
    try:
        isolated = retry(partial(_process, step, ledger, positions, learners))
    except Exception as error:
        if is_transient(error) or not learners:
            raise
        if len(learners) == 1:
            failure = _failure(learners[0], error)
            _process(lambda _: ([failure], []), ledger, [failure.learner.position], [])
            return
        # Halves in the ledger's order, one after the other: the outcome is that of the slice as a whole.
        places = [learner.position for learner in learners]
        middle = len(places) // 2
        _run(step, ledger, places[:middle])
        _run(step, ledger, places[middle:])
    else:
        for position in isolated:
            _run(step, ledger, [position])


def _process(step: Step, ledger: Ledger, positions: Sequence[int] | None, learners: list[Learner]) -> list[int]:
    """Run ``step`` in one transaction; return the positions that must run isolated.

    ``learners`` receives the learners claimed, for the case that the transaction fails.
    """
    with transaction.atomic():
        learners[:] = ledger.claim(positions)
        if not learners:
            return []
        results, isolated = step(learners)
        ledger.record(results)
    write_log(results)
    return isolated


def _link(program_uuid: UUID, job_id: UUID | None, learners: list[Learner]) -> Processed:
    now = timezone.now()
    state = load.load_slice(program_uuid, learners, now)
    plans = [rules.plan(state, program_uuid, learner) for learner in learners]
    alone = len(plans) == 1
    isolated = set() if alone else _interfering_with_collisions(state, plans)
    plans = [plan for plan in plans if plan.learner.position not in isolated]
    for plan in plans:
        if plan.collides:
            write_user_first(plan, now)
        if plan.links:
            rules.apply(state, plan)
    write_plans(state, [plan for plan in plans if plan.links], now, job_id=job_id, one_by_one=alone)
    results = [plan if plan.fault is None else _failure(plan.learner, plan.fault) for plan in plans]
    return results, sorted(isolated)


def _interfering_with_collisions(state: SliceState, plans: Sequence[Plan]) -> set[int]:
    """Return the positions of the learners that will collide, and of all that interfere with them."""
    if not any(plan.collides for plan in plans):
        return set()
    group_of = group((plan.learner.position, tokens(state, plan.learner)) for plan in plans)
    colliding = {group_of[plan.learner.position] for plan in plans if plan.collides}
    return {position for position, lowest in group_of.items() if lowest in colliding}


def write_user_first(plan: Plan, now: datetime) -> None:
    """Write the user of a plan before anything else, so that the database raises the error of a collision."""
    enrollment, user = plan.target
    enrollment.user_id = user.id
    write.write_users([enrollment], now)
    if plan.fault is not None:
        raise plan.fault


def write_plans(
    state: SliceState, plans: Sequence[Plan], now: datetime, *, job_id: UUID | None = None, one_by_one: bool
) -> None:
    """Write the rows that ``plans`` changed in memory and their history, and the events of their transitions."""
    enrollments = {plan.enrollment.id: plan.enrollment for plan in plans if plan.enrollment}.values()
    write.write_users(enrollments, now)
    changed = write.write_course_enrollments(state, now)
    moved = write.write_pointers((course for enrollment in enrollments for course in enrollment.courses), now)
    history.write_history([row.id for row in enrollments if row.is_written], moved, changed, job_id=job_id)
    history.claim_allowed(state.course_enrollments.values())
    write.write_roles(plans, one_by_one=one_by_one)
    for plan in plans:
        plan.before = plan.change.as_json()
    transitions = (
        (plan.enrollment.id if plan.enrollment else None, one) for plan in plans for one in plan.change.transitions
    )
    write.write_events(transitions, now)


def _failure(learner: Learner, error: BaseException) -> Result:
    """Return the result of a learner whose step 3 ended with ``error``."""
    outcome = Outcome.ERROR
    if isinstance(error, CourseEnrollmentException):
        outcome = Outcome.COURSE_ERROR
    elif isinstance(error, IntegrityError):
        outcome = Outcome.CONFLICT
    return Result(learner=learner, outcome=outcome, message=messages.describe(error), fault=error)


def write_log(results: Iterable[Result]) -> None:
    """Write the log records of results, after the commit."""
    for result in results:
        for level, text, error in result.log:
            learners_log.log(level, text, exc_info=error)
