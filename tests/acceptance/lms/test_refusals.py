"""Nothing starts on tables of an LMS that differ in a way that would harm."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from devservers import WorkerProcess
from devservers.server import ServerError
from tests.support.ids import PROGRAM
from tests.support.lms.server import LMSDatabase

pytestmark = pytest.mark.skipif("not config.getoption('lms')", reason="a database of an LMS: --lms")
CHANGE = "ALTER TABLE program_enrollments_programenrollment DROP INDEX {}, DROP COLUMN status"
INDEX = "program_enrollments_prog_external_user_key_progra_ec52a567_uniq"
DIFFERENCES = (
    "program_enrollments_programenrollment.status: no such column.",
    "program_enrollments_programenrollment: no unique index on external_user_key, program_uuid, curriculum_uuid:",
    "ALTER TABLE program_enrollments_programenrollment ADD UNIQUE (external_user_key, program_uuid, curriculum_uuid)",
)


@pytest.fixture
def database(mysql_url: str) -> Iterator[LMSDatabase]:
    with closing(LMSDatabase(mysql_url, "test_lms_refusals")) as database:
        yield database


def test_check_migrate_and_a_worker_refuse_with_the_differences_and_a_worker_starts_once_they_are_gone(
    database: LMSDatabase, redis_without_worker: str
) -> None:
    database.migrate()
    assert database.manage("check").returncode == 0
    database.cursor.execute(CHANGE.format(INDEX))
    worker = WorkerProcess({**database.env, "CELERY_BROKER_URL": redis_without_worker})

    for command in (
        ("check",),
        ("migrate",),
        ("link_program_enrollments", str(PROGRAM), "s-1:ada", "--now"),
    ):
        process = database.manage(*command)
        assert process.returncode == 1
        for text in DIFFERENCES:
            assert text in process.stderr
    with pytest.raises(ServerError) as refused, worker:
        pass
    for text in DIFFERENCES:
        assert text in str(refused.value)
    assert "the worker does not start" in str(refused.value)

    database.cursor.execute(
        "ALTER TABLE program_enrollments_programenrollment ADD status varchar(9) NOT NULL,"
        " ADD UNIQUE (external_user_key, program_uuid, curriculum_uuid)"
    )
    with worker:
        assert worker.is_idle()


def test_migrate_creates_nothing_in_a_database_that_is_none_of_an_lms(database: LMSDatabase) -> None:
    database.cursor.execute("DROP DATABASE test_lms_refusals")
    database.cursor.execute("CREATE DATABASE test_lms_refusals COLLATE utf8mb4_unicode_ci")

    process = database.manage("migrate", "--run-syncdb")

    assert process.returncode == 1
    assert "student_courseenrollment: no such table, or its user root has no privilege on it." in process.stderr
    assert "Check the name of the database, test_lms_refusals, and docs/lms.md." in process.stderr
    database.cursor.execute("USE test_lms_refusals")
    assert database.fetch("SHOW TABLES") == set()
