"""Each privilege on a table of the LMS that ``docs/lms.md`` gives a worker is needed: without it, a job fails."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.checks import Tags, run_checks
from django.db import DatabaseError, connection

from linking.engine.lms_tables import HISTORY_OF, ROLE_HISTORY
from tests.support import jobs
from tests.support.lms.database import TABLES, clear_tables
from tests.support.lms.privileges import MIGRATE, WORKER, privileges, statements, user
from tests.support.populations import add_learners_of_every_kind
from worker.exceptions import JobError
from worker.models import LearnerOutcome

pytestmark = [
    pytest.mark.skipif("not config.getoption('lms')", reason="a database of an LMS: --lms"),
    pytest.mark.django_db(transaction=True),
]
OURS = ("api_tokens_", "linking_", "worker_")
"""Beginnings of the names of our tables."""
HISTORY = (*HISTORY_OF.values(), ROLE_HISTORY)
LEARNERS = 14
"""Two of each kind, one of them with an inactive user."""


def execute(*statements: str) -> None:
    with connection.cursor() as cursor:
        for sql in statements:
            cursor.execute(sql)


@pytest.fixture(autouse=True)
def _user() -> Iterator[None]:
    """The documented user of workers, on the database of the tests."""
    execute(f"DROP USER IF EXISTS {user('linking')}", *statements(WORKER, connection.settings_dict["NAME"]))
    yield
    execute(f"DROP USER {user('linking')}")


@contextmanager
def connected_as_worker() -> Iterator[None]:
    account = {name: connection.settings_dict[name] for name in ("USER", "PASSWORD")}
    connection.close()
    connection.settings_dict |= {"USER": user("linking"), "PASSWORD": "secret-2"}
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict |= account


def link_and_undo() -> Any:
    """Link learners of each kind and undo it, as the user of workers; return the outcomes, or the type of the error."""
    clear_tables()
    mapping = add_learners_of_every_kind(LEARNERS)
    with connected_as_worker():
        try:
            job = jobs.run_job(mapping)
            undoing = jobs.undo(job)
        except (DatabaseError, JobError) as error:
            return type(error)
        rows = LearnerOutcome.objects.filter(job__in=(job, undoing)).order_by("job__created", "position")
        outcomes = list(rows.values_list("outcome", "warnings"))
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(f"SELECT COUNT(*) FROM {table}" for table in HISTORY))  # noqa: S608 - our own names
        return outcomes, cursor.fetchall()


def lacking() -> set[str]:
    """Return the tables on which the check finds a privilege missing, as the user of workers."""
    with connected_as_worker():
        messages = run_checks(tags=[Tags.database], databases=["default"])
    assert all(message.id in {"linking.E001", "linking.E002", "linking.E010"} for message in messages)
    return {re.split("[:.]", message.msg)[0] for message in messages}


def test_without_any_one_of_the_documented_privileges_a_job_fails_and_the_check_names_it() -> None:
    given = [
        one
        for one in privileges(WORKER, connection.settings_dict["NAME"])
        if one.table in TABLES and one.table != "django_migrations"  # Which only the check reads.
    ]
    complete = link_and_undo()
    needless, unnoticed = [], []
    assert lacking() == set()

    for privilege in given:
        execute(privilege.revoke)
        if link_and_undo() == complete:
            needless.append(str(privilege))
        if lacking() != {privilege.table}:
            unnoticed.append(str(privilege))
        execute(privilege.grant)

    outcomes, history = complete
    assert {"linked", "relinked", "undone"} <= {outcome for outcome, _ in outcomes}
    assert all(count for (count,) in history)
    assert (needless, unnoticed) == ([], [])
    assert link_and_undo() == complete


def test_each_table_of_ours_is_granted_to_both_users() -> None:
    # Other tests may have added tables of the LMS.
    tables = {name for name in connection.introspection.table_names() if name.startswith(OURS)}
    for block in (MIGRATE, WORKER):
        granted = {one.table for one in privileges(block, "openedx")} - {*TABLES}
        assert granted == tables
