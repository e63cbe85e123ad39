"""A slice that waits for the LMS's lock, and the LMS meanwhile."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import User
from django.db import connection

from linking.models import CourseEnrollment
from tests.support.ids import ALGEBRA
from tests.support.locks import Lock
from tests.support.rows import add_course_run, enroll, enroll_in_course, make_course
from tests.support.runs import link_by_engine

pytestmark = [
    pytest.mark.skipif("not config.getoption('lms')", reason="a database of an LMS: --lms"),
    pytest.mark.django_db(transaction=True),
]
INSERT = "INSERT INTO student_courseenrollment (user_id, course_id, is_active, mode) VALUES"


def link_in_a_thread() -> dict[str, str]:
    try:
        return link_by_engine({"s-1": "ada"})
    finally:
        connection.close()


def test_others_enroll_while_a_slice_waits_to_enroll(ada: User, bob: User) -> None:
    """On MariaDB an INSERT … SELECT would lock the next id of the table until it has its row lock."""
    add_course_run(enroll("s-1"), make_course())
    held = Lock(f"{INSERT} ({ada.pk}, '{ALGEBRA}', 0, 'audit')")
    with ThreadPoolExecutor(1) as pool:
        linking = pool.submit(link_in_a_thread)
        held.wait_for_blocked(1)
        with connection.cursor() as cursor:
            cursor.execute("SET innodb_lock_wait_timeout = 1")
        enroll_in_course(bob)
        assert not linking.done()
        held.release()
        assert linking.result(20) == {}

    assert dict(CourseEnrollment.objects.values_list("user__username", "mode")) == {"ada": "masters", "bob": "masters"}
    connection.close()
