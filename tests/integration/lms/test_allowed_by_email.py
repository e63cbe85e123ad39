"""Enrollments that an LMS has allowed by e-mail."""

import pytest
from django.contrib.auth.models import User
from django.db import connection

from tests.support.ids import ALGEBRA, BIOLOGY
from tests.support.jobs import linked
from tests.support.lms.history import allow, allowed
from tests.support.rows import add_course_run, enroll, enroll_in_course, make_course, make_user

pytestmark = [
    pytest.mark.skipif("not config.getoption('lms')", reason="a database of an LMS: --lms"),
    pytest.mark.django_db(transaction=True),
]


def test_an_enrollment_that_was_allowed_by_email_is_claimed_by_who_is_enrolled_or_reactivated(
    ada: User, bob: User
) -> None:
    make_course()
    make_course(BIOLOGY)
    eve = make_user("eve")
    for key in ("s-1", "s-2", "s-3"):
        add_course_run(enroll(key))
    enroll_in_course(bob, is_active=False)
    enroll_in_course(eve, mode="audit")  # Becomes masters by a bare save, which claims nothing.
    algebra, biology = str(ALGEBRA), str(BIOLOGY)
    address_of = {user: user.email.upper() if connection.vendor == "mysql" else user.email for user in (ada, bob, eve)}
    for address in address_of.values():  # The column has the collation of the LMS: MySQL's ignores case.
        allow(address, algebra)
    allow(ada.email, biology)
    allow("someone@example.org", algebra)
    allow("other@example.org", algebra, eve.pk)

    linked({"s-1": "ada", "s-2": "bob", "s-3": "eve"})

    assert allowed() == {
        (address_of[ada], algebra, ada.pk),
        (address_of[bob], algebra, bob.pk),
        (address_of[eve], algebra, None),
        (ada.email, biology, None),
        ("someone@example.org", algebra, None),
        ("other@example.org", algebra, eve.pk),
    }
