"""History tables of other releases of the LMS, and how often they are looked for."""

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from linking.engine.lms_tables import COURSE_ENROLLMENT, PROGRAM_COURSE_ENROLLMENT, PROGRAM_ENROLLMENT, lms_tables
from linking.models import CourseEnrollment
from tests.support.ids import ALGEBRA
from tests.support.jobs import linked
from tests.support.lms.history import history
from tests.support.rows import add_course_run, enroll, make_course
from tests.support.stored import roles_of

pytestmark = [
    pytest.mark.skipif("not config.getoption('lms')", reason="a database of an LMS: --lms"),
    pytest.mark.django_db(transaction=True),
]


def set_length(table: str, column: str, length: int) -> None:
    change = "MODIFY {}" if connection.vendor == "mysql" else "ALTER {} TYPE"
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} {change.format(column)} varchar({length})")


def test_a_column_of_a_later_release_is_copied_and_a_reason_is_cut_to_its_column(ada: User) -> None:
    add_course_run(enroll("s-1"), make_course())
    tables = ("student_courseenrollment", "student_courseenrollment_history")
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} ADD COLUMN reason_of_later varchar(20) NOT NULL DEFAULT 'later'")
        cursor.execute(f"ALTER TABLE {tables[1]} ALTER COLUMN reason_of_later DROP DEFAULT")
        set_length(tables[1], "history_change_reason", 20)
    connection.close()  # An upgrade of the LMS: workers are restarted.
    try:
        linked({"s-1": "ada"})
        (row,) = history(COURSE_ENROLLMENT)
    finally:
        with connection.cursor() as cursor:
            for table in tables:
                cursor.execute(f"ALTER TABLE {table} DROP COLUMN reason_of_later")
        set_length(tables[1], "history_change_reason", 100)
        connection.close()

    assert row["reason_of_later"] == "later"
    assert row["history_change_reason"] == "program-linking job "


def test_an_lms_without_history_of_roles_is_one_of_an_earlier_release(ada: User) -> None:
    add_course_run(enroll("s-1"), make_course(), roles=("staff",))
    name = "student_courseaccessrolehistory"
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {name} RENAME TO {name}_away")
    connection.close()
    try:
        linked({"s-1": "ada"})
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {name}_away RENAME TO {name}")
        connection.close()

    assert roles_of(ada) == {("Org", str(ALGEBRA), "staff")}
    assert CourseEnrollment.objects.get().mode == "masters"


def test_the_tables_are_looked_for_once_for_each_connection(ada: User, bob: User) -> None:
    def lookups(key: str, username: str) -> int:
        enroll(key)
        with CaptureQueriesContext(connection) as captured:
            linked({key: username})
        return sum("information_schema" in query["sql"] for query in captured)

    connection.close()
    assert lookups("s-1", "ada") == 1
    assert lookups("s-2", "bob") == 0
    assert lms_tables().histories.keys() == {PROGRAM_ENROLLMENT, PROGRAM_COURSE_ENROLLMENT, COURSE_ENROLLMENT}
