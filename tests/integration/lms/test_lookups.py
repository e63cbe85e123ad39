"""A slice reads the rows of its learners, however many others their program has."""

from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import connection

from linking.api import link_program_enrollments
from linking.models import ProgramEnrollment

pytestmark = [
    pytest.mark.skipif("not config.getoption('lms')", reason="a database of an LMS: --lms"),
    pytest.mark.django_db(transaction=True),
]
PROGRAM = UUID("abcdef11-1111-4111-8111-111111111111")
OTHERS, LEARNERS = 4_000, 250


def rows_read() -> int:
    """Return the rows that this session has read from tables, in the order of an index or of the table."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW SESSION STATUS WHERE Variable_name IN ('Handler_read_next', 'Handler_read_rnd_next')")
        return sum(int(value) for _, value in cursor.fetchall())


def test_linking_some_learners_does_not_read_all_of_their_program() -> None:
    ProgramEnrollment.objects.bulk_create(
        ProgramEnrollment(external_user_key=f"s-{n}", program_uuid=PROGRAM, curriculum_uuid=PROGRAM)
        for n in range(OTHERS + LEARNERS)
    )
    User.objects.bulk_create(User(username=f"u-{n}", email=f"u-{n}@example.org") for n in range(LEARNERS))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE TABLE program_enrollments_programenrollment")
        cursor.fetchall()
    mapping = {f"s-{n * 16}": f"u-{n}" for n in range(LEARNERS)}
    before = rows_read()

    assert link_program_enrollments(PROGRAM, mapping) == {}

    assert rows_read() - before < OTHERS
