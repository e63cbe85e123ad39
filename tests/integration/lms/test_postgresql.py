"""The tables of an LMS on PostgreSQL: what the other tests of this folder do not find out on their own."""

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from linking.checks import lms_has_the_tables_that_linking_needs
from tests.support.lms import postgres
from tests.support.lms.database import TABLES
from tests.support.lms.session import TESTS_OWN
from worker.lms.router import OURS

pytestmark = [
    pytest.mark.skipif(
        "not config.getoption('lms') or config.getoption('database') != 'postgres'",
        reason="a database of an LMS on PostgreSQL: --lms --database=postgres",
    ),
    pytest.mark.django_db(transaction=True),
]


def definitions(schema: str) -> set[tuple[object, ...]]:
    """Return columns and indexes of the LMS's tables in a schema."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT table_name, column_name, data_type, character_maximum_length, is_nullable, column_default
            FROM information_schema.columns WHERE table_schema = %s AND table_name = ANY (%s)
            UNION ALL
            SELECT tablename, replace(indexdef, schemaname || '.', ''), NULL, NULL, NULL, NULL
            FROM pg_indexes WHERE schemaname = %s AND tablename = ANY (%s)
            """,
            [schema, list(TABLES), schema, list(TABLES)],
        )
        return set(cursor.fetchall())


def test_migrate_leaves_the_tables_of_the_lms_as_they_are() -> None:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("CREATE SCHEMA untouched; SET LOCAL search_path = untouched")
            for statement in (*postgres.statements(), *postgres.defaults(TESTS_OWN)):
                cursor.execute(statement)
        untouched = definitions("untouched")
        transaction.set_rollback(True)

    call_command("migrate", verbosity=0)  # For the second time.

    assert len(untouched) > len(TABLES)
    assert definitions("public") == untouched
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT app FROM django_migrations")
        assert {app for (app,) in cursor.fetchall()} >= OURS


def test_the_check_names_a_missing_unique_index_and_nothing_else() -> None:
    assert lms_has_the_tables_that_linking_needs(["default"]) == []

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT conname FROM pg_constraint WHERE conrelid = 'student_courseenrollment'::regclass AND contype = 'u'"
        )
        ((name,),) = cursor.fetchall()
        cursor.execute(f'ALTER TABLE student_courseenrollment DROP CONSTRAINT "{name}"')
        (message,) = lms_has_the_tables_that_linking_needs(["default"])
        transaction.set_rollback(True)

    assert "student_courseenrollment" in message.msg
    assert "unique" in message.msg
