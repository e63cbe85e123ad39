"""The number of statements of a slice: the same for ten learners and a thousand, of every kind."""

from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext, override_settings

from linking.engine.lms_tables import lms_tables
from tests.support.jobs import finish, run_slices, submit
from tests.support.populations import add_learners, add_learners_of_every_kind
from tests.support.rows import enroll, make_user
from tests.support.statement_counts import more_of_the_engine, more_of_the_ledger
from worker import jobs
from worker.jobs.slices import run_slice

pytestmark = pytest.mark.django_db(transaction=True)

ENGINE = 20
"""Statements that the engine may take for a slice."""
LEDGER = 6
"""Those of the ledger: count the attempt, read the job, lock the slice, read its learners, write outcomes and slice."""
FRAME = {"BEGIN", "BEGIN IMMEDIATE", "COMMIT"}
"""Statements that open and close a transaction: on SQLite the test would count them, on PostgreSQL not."""


def statements(count: int, *, dry_run: bool = False) -> list[str]:
    """Return the statements of running a slice with ``count`` learners of every kind, and a user who changes hands."""
    mapping = add_learners_of_every_kind(count - 2)
    given, taker = f"given-{count}-{dry_run}", f"taker-{count}-{dry_run}"
    enroll(given, make_user(given))
    enroll(taker)
    make_user(taker)
    mapping |= {given: taker, taker: given}
    job = submit(mapping, learners_per_subtask=count, dry_run=dry_run)
    lms_tables()  # They are looked for once for each connection.
    with CaptureQueriesContext(connection) as captured:
        ran = run_slice(job.pk, 0)
    assert ran.processed == count
    assert set(ran.counts) == {"linked", "relinked", "already_linked", "no_user", "no_enrollment", "course_error"}
    return [query["sql"] for query in captured if query["sql"] not in FRAME]


def test_a_slice_takes_at_most_20_statements_and_those_of_the_ledger_whatever_its_size() -> None:
    few, many = statements(10), statements(1_000)

    of_the_ledger = [sql for sql in many if '"worker_' in sql or " worker_" in sql or "`worker_" in sql]
    assert len(of_the_ledger) == LEDGER + more_of_the_ledger()
    assert len(many) - len(of_the_ledger) == 14 + more_of_the_engine() <= ENGINE
    assert [beginning(sql) for sql in many] == [beginning(sql) for sql in few]


def test_events_take_one_statement_more_whatever_their_number() -> None:
    without = statements(10)
    with override_settings(LINKING_EVENTS=True):
        few, many = statements(11), statements(999)

    assert len(few) == len(many) == len(without) + 1
    assert [sql for sql in many if "linking_outbox" in sql] == [sql for sql in many if "linking_outbox_event" in sql]


def beginning(sql: str) -> list[str]:
    """Return the first words of a statement, without values."""
    return sql.partition("'")[0].split()[:3]


def test_a_dry_run_takes_no_more_for_many_than_for_few() -> None:
    most = ENGINE + 2 * LEDGER + more_of_the_ledger()
    assert len(statements(10, dry_run=True)) == len(statements(1_000, dry_run=True)) <= most


def test_submitting_takes_no_more_for_many_than_for_few() -> None:
    def count(learners: int) -> int:
        mapping = add_learners(learners)
        with CaptureQueriesContext(connection) as captured:
            submit(mapping, program=uuid4(), learners_per_subtask=learners, max_relinks="5%")
        return len(captured)

    assert count(10) == count(1_000)


def test_finishing_takes_no_more_for_many_slices_than_for_few() -> None:
    def count(learners: int) -> int:
        job = submit(add_learners(learners), learners_per_subtask=1)
        for number in jobs.open_slices(job):
            run_slice(job.pk, number)
        with CaptureQueriesContext(connection) as captured:
            assert finish(job) == {}
        return len(captured)

    assert count(3) == count(60)


@pytest.mark.parametrize("same", [False, True], ids=["other learners", "the same learner"])
def test_a_job_takes_no_more_beside_many_open_jobs_of_its_program_than_beside_few(same: bool) -> None:
    def count(others: int) -> tuple[int, int]:
        program = uuid4()
        mine, *rest = add_learners(1 + others, program).items()
        job, before = submit(dict([mine]), program), []
        for key, name in rest:
            before.append(submit({mine[0]: name} if same else {key: name}, program))
        with CaptureQueriesContext(connection) as submitted:
            last = submit({mine[0]: "nobody"} if same else {f"new-{key}": "nobody"}, program)
        assert bool(last.waits_for) == same
        run_slices(job)
        with CaptureQueriesContext(connection) as finished:
            end = jobs.finish(job.pk, lambda _job, _errors: None)
        assert end is not None
        assert [released.pk for released in end.released] == ([before[0].pk] if same else [])
        return len(submitted), len(finished)

    assert count(3) == count(60)
