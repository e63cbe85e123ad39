"""Jobs against the LMS's own way on the same server: a save per row with django-simple-history, table by table.

``LINKING_HISTORY_WORLDS=300`` runs that many worlds, new ones each time; without it a fixed set of 25 runs.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from django.contrib.auth.models import User
from hypothesis import event, given
from hypothesis import strategies as st

from tests.support.jobs import run, submit, undo
from tests.support.lms.history import (
    RowsById,
    allow,
    allowed,
    assert_history_is_complete,
    history,
    last_states,
    role_history,
    rows_with_history,
)
from tests.support.lms.process import LmsProcess
from tests.support.worlds import Snapshot, World, build, clear, interferences, snapshot, worlds
from tests.support.worlds.examples import long_timeout, random_worlds
from tests.support.worlds.rows import FIRST_ID
from worker.models import LinkingJob

VARIABLE = "LINKING_HISTORY_WORLDS"
pytestmark = [
    pytest.mark.skipif("not config.getoption('lms')", reason="a database of an LMS: --lms"),
    pytest.mark.django_db(transaction=True),
    long_timeout(25, VARIABLE),
]
Allowed = list[tuple[int, int, bool]]
"""Account and course of enrollments allowed by e-mail, by their index, and whether they are claimed already."""


class Left(NamedTuple):
    """What a run has left in the database."""

    rows: Snapshot
    allowed: set[tuple[str, str, int | None]]
    last: dict[str, set[tuple[Any, ...]]]
    roles: list[tuple[Any, ...]]


@pytest.fixture(scope="module")
def lms(database_url: str) -> Iterator[LmsProcess]:
    with LmsProcess(database_url) as process:
        yield process


def begin(world: World, emails: Allowed) -> RowsById:
    """Write the rows of a world, and no others; return those that may get history."""
    LinkingJob.objects.exclude(undoes=None).delete()
    LinkingJob.objects.all().delete()
    clear()
    build(world)
    for user in User.objects.all():  # The same in each run.
        User.objects.filter(pk=user.pk).update(email=f"{user.pk}@example.org")
    for account, course, is_claimed in emails:
        user_id = FIRST_ID + account
        allow(f"{user_id}@Example.org", world.courses[course].key, user_id if is_claimed else None)
    return rows_with_history()


def left(before: RowsById) -> Left:
    """Return what a run has left, and check the history against the rows."""
    assert_history_is_complete(before)
    columns = ("user_id", "org", "course_id", "role", "action_type", "old_values", "changed_by_id")
    roles = sorted(tuple(row[name] for name in columns) for row in role_history())
    return Left(snapshot(), allowed(), last_states(before), roles)


@random_worlds(25, VARIABLE)
@given(data=st.data(), world=worlds(), learners_per_subtask=st.sampled_from([None, 1, 3]))
def test_a_job_leaves_the_rows_and_the_last_history_rows_of_the_lms(
    lms: LmsProcess, data: st.DataObject, world: World, learners_per_subtask: int | None
) -> None:
    pairs = st.tuples(st.integers(0, len(world.accounts) - 1), st.integers(0, len(world.courses) - 1))
    drawn = data.draw(st.lists(st.tuples(pairs, st.booleans()), max_size=6, unique_by=lambda item: item[0]))
    emails = [(account, course, is_claimed) for (account, course), is_claimed in drawn]
    for kind in interferences(world):
        event(kind)
    before = begin(world, emails)
    errors = lms.call("link", str(world.program_uuid), dict(world.mapping))
    theirs = left(before)

    before = begin(world, emails)
    job = submit(dict(world.mapping), world.program_uuid, learners_per_subtask=learners_per_subtask)
    assert run(job).keys() == errors.keys()
    ours = left(before)

    assert ours == theirs
    for table in before:
        assert {row["history_change_reason"] for row in history(table)} <= {f"program-linking job {job.pk}"}
    job.refresh_from_db()
    if job.counts.keys() & {"linked", "relinked"}:
        linked = rows_with_history()
        undo(job)
        assert_history_is_complete(linked)
        event("undone")
