"""Statements per slice: the same for ten learners and a thousand, and at most twenty."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from linking.models import ProgramCourseEnrollment
from tests.support.runs import results_by_slices
from tests.support.worlds import World, build, clear
from tests.support.worlds.values import CURRICULA, Account, Course, CourseRun, Enrolled, Enrollment, Expiry, Held

MOST_STATEMENTS = 20


def crowd(size: int) -> World:
    """Return a world of ``size`` learners, every fifth of a kind: all that linking does happens, nothing collides."""
    learners = range(size)
    relinked = [n for n in learners if n % 5 in {1, 2}]
    return World(
        accounts=tuple(
            Account(f"{kind}-{n}", is_active=kind == "former" or n % 7 != 0)
            for n in learners
            for kind in ("new", "former")
        ),
        courses=(
            Course("course-v1:Org+Algebra+1", modes=(("audit", Expiry.NEVER), ("masters", Expiry.NEVER))),
            Course("course-v1:Org+Biology+1", modes=(("masters", Expiry.NEVER),)),
            Course("course-v1:Org+Chemistry+1"),
            Course("course-v1:Org+Divinity+1", exists=False),
        ),
        enrollments=tuple(Enrollment(2 * n + 1 if n in relinked else None, f"s-{n}", CURRICULA[0]) for n in learners),
        enrolled=tuple(
            Enrolled(2 * n + old, course, mode, is_active=n % 2 == 0)
            for n in relinked
            for course in (0, 1)
            for old, mode in ((0, "honor"), (1, "masters"))
        ),
        course_runs=tuple(
            CourseRun(
                n,
                course,
                # The former user's enrollment in the course: every fourth row of its learner's four, see above.
                4 * relinked.index(n) + 2 * course + 1 if n in relinked and course < 2 else None,
                "inactive" if n % 3 == 0 else "active",
                ("staff", "wizard") if n % 11 == 3 else ("staff",),
            )
            for n in learners
            for course in ((0, 1, 2, 3) if n % 5 == 4 else (0, 1, 2))
        ),
        held=tuple(Held(2 * n + n % 2, 0) for n in relinked),
        mapping=(
            *((f"S-{n}" if n % 2 else f"s-{n}", f"new-{n}" if n % 10 != 3 else "nobody") for n in learners),
            ("stranger", "new-0"),
        ),
    )


def statements(world: World) -> list[str]:
    """Link everyone in one slice and return the statements it took; one sent for many rows counts for each."""
    clear()
    build(world)
    with CaptureQueriesContext(connection) as queries:
        results = results_by_slices(world.program_uuid, dict(world.mapping), len(world.mapping))
    assert {"linked", "relinked", "no_user", "no_enrollment", "course_error"} == {
        result.outcome.value for result in results
    }
    sent = []
    for query in queries.captured_queries:
        many = re.match(r"(\d+) times: ", query["sql"])
        sent += [query["sql"]] * (int(many[1]) if many else 1)
    return sent


@pytest.mark.django_db(transaction=True)
def test_a_slice_takes_the_same_few_statements_whatever_its_size() -> None:
    few, many = statements(crowd(10)), statements(crowd(1000))

    assert len(few) == len(many)
    assert len(many) <= MOST_STATEMENTS
    assert ProgramCourseEnrollment.objects.filter(course_enrollment__mode="masters").count() > 1000
