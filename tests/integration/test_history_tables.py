"""History on PostgreSQL: tables like those of an LMS, should one run there."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from django.db import connection, connections

from linking.engine.lms_tables import ALLOWED, COURSE_ENROLLMENT, HISTORY_OF, ROLE_HISTORY, forget
from tests.support.jobs import linked, undo
from tests.support.lms.history import (
    allow,
    allowed,
    assert_history_is_complete,
    history,
    role_history,
    rows_with_history,
)
from tests.support.rows import add_course_run, enroll, make_course

if TYPE_CHECKING:
    from django.conf import LazySettings
    from django.contrib.auth.models import User

pytestmark = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="on MySQL, tests/integration/lms")
HISTORY = """
    history_date timestamptz, history_change_reason varchar(20), history_type varchar(1), history_user_id integer
"""


@pytest.fixture(autouse=True)
def _tables(settings: "LazySettings") -> Iterator[None]:
    """Tables of history and of enrollments allowed by e-mail, for the transaction of the test."""
    with connection.cursor() as cursor:
        for source, name in HISTORY_OF.items():
            kind = "uuid" if source == COURSE_ENROLLMENT else "serial"
            cursor.execute(f"CREATE TABLE {name} (LIKE {source}, history_id {kind} PRIMARY KEY, {HISTORY})")
        role = "id serial, user_id integer, org text, course_id text, role text, action_type varchar(10)"
        cursor.execute(f"CREATE TABLE {ROLE_HISTORY} ({role}, created timestamptz, modified timestamptz)")
        owner = "email text, course_id text, auto_enroll boolean, created timestamptz, user_id integer"
        cursor.execute(f"CREATE TABLE {ALLOWED} ({owner})")
    settings.LINKING_LMS = True
    forget(connections["default"])
    yield
    forget(connections["default"])


def test_a_job_and_its_undo_are_recorded(ada: "User") -> None:
    ada.email = "ada@example.org"
    ada.save()
    course = make_course()
    add_course_run(enroll("s-1"), course, roles=("staff",))
    allow(ada.email, str(course))
    before = rows_with_history()

    job = linked({"s-1": "ada"})

    assert_history_is_complete(before)
    reasons = {row["history_change_reason"] for table in HISTORY_OF for row in history(table)}
    assert reasons == {f"program-linking job {job.pk}"[:20]}
    assert [row["action_type"] for row in role_history()] == ["created"]
    assert allowed() == {(ada.email, str(course), ada.pk)}
    undo(job)
    assert_history_is_complete(before)
    assert [row["history_type"] for row in history(COURSE_ENROLLMENT)] == ["+", "~"]
    assert [row["action_type"] for row in role_history()] == ["created", "deleted"]
