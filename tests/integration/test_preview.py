"""Questions about a whole mapping before it runs: who changes hands, who interferes, and that an index answers them."""

import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from hypothesis import given

from linking.bulk import count_relinks, interfering_learners, link_slice
from tests.support.ids import OTHER_CURRICULUM, PROGRAM
from tests.support.jobs import order, submit
from tests.support.populations import add_learners
from tests.support.rows import enroll, make_user
from tests.support.runs import MemoryLedger
from tests.support.worlds import World, build, worlds
from tests.support.worlds.examples import random_worlds
from worker.jobs.slicing import mapping_of
from worker.models import Claim

in_random_worlds = random_worlds(50)


@in_random_worlds
@given(world=worlds())
def test_groups_of_interfering_learners_may_run_in_any_order(world: World) -> None:
    """Run the groups last to first: what each learner gets must not depend on it."""
    learners = list(order(dict(world.mapping), world.program_uuid).learners)

    def messages(places: list[list[int]]) -> dict[int, str]:
        found: dict[int, str] = {}
        with transaction.atomic():
            build(world)
            for group in places:
                ledger = MemoryLedger([learners[place] for place in group])
                link_slice(world.program_uuid, ledger)
                found |= {place: result.message for place, result in ledger.results.items()}
            transaction.set_rollback(True)
        return found

    with transaction.atomic():
        build(world)
        job = submit(dict(world.mapping), world.program_uuid)
        first_of = interfering_learners(world.program_uuid, mapping_of(job)).groups
        transaction.set_rollback(True)

    groups: dict[int, list[int]] = {}
    for learner in learners:
        groups.setdefault(first_of.get(learner.position, learner.position), []).append(learner.position)
    in_order = [[learner.position] for learner in learners]
    assert messages(list(reversed(groups.values()))) == messages(in_order)


@in_random_worlds
@given(world=worlds())
def test_a_job_waits_for_another_when_learners_of_both_would_belong_together_in_one(world: World) -> None:
    with transaction.atomic():
        build(world)
        middle = len(world.mapping) // 2
        halves = [dict(world.mapping[:middle]), dict(world.mapping[middle:])]
        whole = mapping_of(submit(dict(world.mapping), world.program_uuid))
        groups = interfering_learners(world.program_uuid, whole).groups
        spanning = {groups[place] for place in groups if place < middle} & {
            groups[place] for place in groups if place >= middle
        }
        Claim.objects.all().delete()
        one, other = (submit(half, world.program_uuid) for half in halves)

        assert one.waits_for == []
        assert other.waits_for == ([str(one.pk)] if spanning else [])

        transaction.set_rollback(True)


def test_relinks_of_another_job_do_not_count() -> None:
    enroll("s-1", make_user("ada"))
    make_user("bob")
    submit({"s-1": "bob"})
    job = submit({"s-1": "ada"})

    assert count_relinks(PROGRAM, mapping_of(job)) == 0


def test_the_enrollment_counts_that_linking_would_take() -> None:
    enroll("ab-1", make_user("ada"))
    enroll("AB-1", make_user("bob"), curriculum_uuid=OTHER_CURRICULUM)

    def count(mapping: dict[str, str]) -> int:
        job = submit(mapping)
        return count_relinks(PROGRAM, mapping_of(job))

    assert [count({"ab-1": "ada"}), count({"ab-1": "bob"})] == [0, 1]
    assert [count({"AB-1": "ada"}), count({"AB-1": "bob"})] == [1, 0]
    assert [count({"Ab-1": "ada"}), count({"Ab-1": "bob"})] == [1, 0]  # The newest.


def plan_of(sql: str, parameters: list[Any]) -> str:
    """Return how the database would run a statement."""
    with connection.cursor() as cursor:
        explain = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
        cursor.execute(f"{explain} {sql}", parameters)
        return "\n".join(" ".join(map(str, row)) for row in cursor.fetchall())


FILL = (
    """
    UPDATE program_enrollments_programenrollment SET user_id =
        (SELECT id FROM auth_user WHERE username = REPLACE(external_user_key, 's-', 'u-'))
    """,
    """
    INSERT INTO program_enrollments_programcourseenrollment
        (program_enrollment_id, course_key, status, created, modified)
    SELECT id, 'course-v1:Org+Algebra+1', 'active', created, modified FROM program_enrollments_programenrollment
    """,
)
TABLES = "program_enrollments_programenrollment, program_enrollments_programcourseenrollment, auth_user"


@pytest.fixture
def few_of_many() -> dict[str, str]:
    """A mapping of 20 learners in a program of 10,000, beside another program of 10,000; all are linked."""
    add_learners(10_000, UUID(int=1))
    mapping = add_learners(10_000)
    with connection.cursor() as cursor:
        for sql in (*FILL, f"ANALYZE TABLE {TABLES}" if connection.vendor == "mysql" else "ANALYZE"):
            cursor.execute(sql)
    return {key.upper(): username for key, username in list(mapping.items())[:20]}


def lookups(mapping: dict[str, str]) -> list[str]:
    """Return how the database runs the statements that look up keys: those of a preview and that of the engine."""
    seen: list[tuple[str, list[Any]]] = []

    def note(execute: Callable[..., object], sql: str, params: list[Any], many: bool, context: object) -> object:
        seen.append((sql, params))
        return execute(sql, params, many, context)

    learners = mapping_of(submit(mapping))
    with connection.execute_wrapper(note):
        interfering_learners(PROGRAM, learners)
        count_relinks(PROGRAM, learners)
        link_slice(PROGRAM, MemoryLedger(list(order(mapping).learners)))
    return [
        plan_of(sql, params)
        for sql, params in seen
        if "(external_key)" in sql or "enrollment.external_user" in sql or "external_user_key IN" in sql
    ]


@pytest.mark.django_db(transaction=True)  # MySQL commits before it analyzes a table.
def test_keys_are_looked_up_without_regard_to_case_by_the_index(few_of_many: dict[str, str]) -> None:
    plans = lookups(few_of_many)

    assert len(plans) == 3
    for plan in plans:
        if connection.vendor == "mysql":
            assert "programenrollment_unique_key" in plan
            table = "(enrollment|program_enrollments_programenrollment)"
            assert not re.search(f"Table scan on {table}|{table} ALL", plan)
            continue
        assert "programenrollment_folded_key" in plan
        assert re.search(r"<expr>=\?|Index Cond: .*lower\(.*external_user_key.*\) =", plan)
        assert "Seq Scan on program_enrollments_programenrollment" not in plan
        assert "SCAN enrollment" not in plan
        assert "SCAN program_enrollments_programenrollment" not in plan
