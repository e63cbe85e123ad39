"""``manage.py check`` names each difference between the tables of the LMS and those that linking needs."""

from collections.abc import Iterator

import pytest
from django.core.checks import Tags, run_checks
from django.db import connection

from tests.support.lms.database import definitions

pytestmark = [
    pytest.mark.skipif("not config.getoption('lms')", reason="a database of an LMS: --lms"),
    pytest.mark.django_db(transaction=True),  # DDL commits.
]
USERS, MODES = "auth_user", "course_modes_coursemode"
ENROLLMENT = "program_enrollments_programenrollment"
ENROLLMENT_HISTORY = "program_enrollments_historicalprogramenrollment"
COURSE = "program_enrollments_programcourseenrollment"
ASSIGNMENT = "program_enrollments_courseaccessroleassignment"
ENROLLED, ENROLLED_HISTORY = "student_courseenrollment", "student_courseenrollment_history"
ROLE, ROLE_HISTORY = "student_courseaccessrole", "student_courseaccessrolehistory"
KEY_INDEX = "program_enrollments_prog_external_user_key_progra_ec52a567_uniq"
USER_INDEX = "student_courseenrollment_user_id_course_id_5d34a47f_uniq"
MODE_INDEXES = (
    "course_modes_coursemode_course_id_3daf3b9d",
    "course_modes_coursemode_course_id_mode_slug_curr_56f8e675_uniq",
)
ASSIGNMENT_KEY = "program_enrollments__enrollment_id_4e0853f0_fk_program_e"
TO = "CONVERT TO CHARACTER SET"


@pytest.fixture(autouse=True)
def _restore_tables() -> Iterator[None]:
    """Create tables that a test has changed as they were."""
    with connection.cursor() as cursor:
        before = definitions(cursor)
        yield
        cursor.execute("SET foreign_key_checks = 0")
        after = definitions(cursor)
        for table, definition in before.items():
            if definition != after.get(table):
                cursor.execute(f"DROP TABLE IF EXISTS {table}")
                cursor.execute(definition)
        cursor.execute("SET foreign_key_checks = 1")


def alter(statements: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET foreign_key_checks = 0")
        for sql in statements.split("; "):
            cursor.execute(sql)
        cursor.execute("SET foreign_key_checks = 1")


def found() -> dict[str, str]:
    """Return the text of each message of the check, by its id and the table or column."""
    messages = run_checks(tags=[Tags.database], databases=["default"])
    assert all(message.hint for message in messages)
    return {f"{message.id} {message.msg.partition(':')[0]}": message.msg for message in messages}


def test_the_tables_of_the_lms_as_they_are_have_what_linking_needs() -> None:
    assert found() == {}


@pytest.mark.parametrize(
    ("number", "table", "column", "change"),
    [
        ("E002", ENROLLMENT, "status", "DROP COLUMN status"),
        ("E002", USERS, "is_active", "DROP COLUMN is_active"),
        ("E003", MODES, "expiration_datetime", "MODIFY expiration_datetime date"),
        ("E003", ENROLLMENT, "program_uuid", "MODIFY program_uuid binary(16) NOT NULL"),
        ("E003", ENROLLED, "mode", "MODIFY mode varchar(20) NOT NULL"),
        ("E004", COURSE, "course_enrollment_id", "MODIFY course_enrollment_id int NOT NULL"),
        ("E005", ENROLLED, "cohort", "ADD cohort int NOT NULL"),
        ("E005", ENROLLED_HISTORY, "cohort", "ADD cohort int NOT NULL"),
        ("E005", ROLE_HISTORY, "reason", "ADD reason varchar(9) NOT NULL"),
        ("E006", ENROLLMENT, "", f"DROP INDEX {KEY_INDEX}"),
        ("E006", ENROLLED, "", f"DROP INDEX {USER_INDEX}, ADD INDEX (user_id, course_id)"),
        ("E006", USERS, "", "DROP INDEX username, ADD INDEX (username)"),
        ("E007", MODES, "", f"{TO} utf8mb4 COLLATE utf8mb4_general_ci"),
        ("E007", ENROLLMENT, "", "MODIFY external_user_key varchar(255) COLLATE utf8mb4_bin"),
        ("E007", ROLE, "", f"{TO} utf8mb3 COLLATE utf8mb3_general_ci"),
        ("E008", ASSIGNMENT, "", f"DROP FOREIGN KEY {ASSIGNMENT_KEY}; ALTER TABLE {ASSIGNMENT} ENGINE=MyISAM"),
        ("W002", MODES, "", f"DROP INDEX {MODE_INDEXES[0]}, DROP INDEX {MODE_INDEXES[1]}"),
        ("W004", COURSE, "modified", "MODIFY modified datetime NOT NULL"),
    ],
)
def test_a_difference_is_named_by_its_place_and_no_other_is(number: str, table: str, column: str, change: str) -> None:
    alter(f"ALTER TABLE {table} {change}")

    place = f"{table}.{column}" if column else table
    assert [*found()] == [f"linking.{number} {place}"]


@pytest.mark.parametrize(("number", "table"), [("E001", MODES), ("E001", ENROLLED_HISTORY), ("E001", ROLE_HISTORY)])
def test_a_missing_table_is_named(number: str, table: str) -> None:
    alter(f"DROP TABLE {table}")

    assert [*found()] == [f"linking.{number} {table}"]


def test_the_role_history_of_later_releases_may_be_missing() -> None:
    alter(f"DROP TABLE {ROLE_HISTORY}")
    alter("UPDATE django_migrations SET app = 'gone' WHERE name = '0047_courseaccessrolehistory'")
    try:
        assert [*found()] == [f"linking.W003 {ROLE_HISTORY}"]
    finally:
        alter("UPDATE django_migrations SET app = 'student' WHERE app = 'gone'")


def test_a_database_whose_collation_is_not_that_of_its_tables_is_named() -> None:
    name = connection.settings_dict["NAME"]
    alter(f"ALTER DATABASE {name} COLLATE utf8mb4_general_ci")
    try:
        assert [*found()] == [f"linking.E007 {name}"]
    finally:
        alter(f"ALTER DATABASE {name} COLLATE utf8mb4_unicode_ci")


@pytest.mark.parametrize(
    "change",
    [
        f"ALTER TABLE {ENROLLED} ADD cohort int NULL, ADD weight int NOT NULL DEFAULT 1",
        f"ALTER TABLE {ENROLLED} ADD twice int GENERATED ALWAYS AS (user_id * 2) STORED",
        f"ALTER TABLE {ENROLLMENT} ADD campus varchar(20) NOT NULL",  # No row of it is inserted.
        f"ALTER TABLE {ENROLLMENT} ADD campus int NOT NULL; ALTER TABLE {ENROLLMENT_HISTORY} ADD campus int NOT NULL",
        f"ALTER TABLE {ROLE} MODIFY id bigint NOT NULL AUTO_INCREMENT",
        f"ALTER TABLE {ENROLLED} MODIFY mode varchar(200) NOT NULL, MODIFY created datetime NOT NULL",
    ],
)
def test_what_a_later_release_may_add_is_no_difference(change: str) -> None:
    alter(change)

    assert found() == {}
