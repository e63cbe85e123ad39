"""Migration, worker and pages run as the users of ``docs/lms.md``, with the privileges that it gives them."""

import http.cookiejar
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.utils import timezone

from devservers import WebServer, WorkerProcess
from tests.acceptance.conftest import service_on
from tests.support.ids import CURRICULUM, PROGRAM
from tests.support.lms.database import definitions
from tests.support.lms.privileges import MIGRATE, PAGES, SEEN, WORKER, statements, user
from tests.support.lms.server import LMSDatabase
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif("not config.getoption('lms')", reason="a database of an LMS: --lms")
NAME = "test_lms_privileges"
COURSE = "course-v1:Org+Algebra+2024"
USERS = (user("linking_migrate"), user("linking"))
MAPPING = {"s-1": "ada", "s-2": "bob", "s-3": "nobody"}


class Database(LMSDatabase):
    """A database with learners of an LMS: s-1 waits, s-2 is eve's and is enrolled; s-3 waits."""

    def insert(self, table: str, **values: Any) -> int:
        """Insert a row; columns without a value get an implicit default."""
        names, marks = ", ".join(values), ", ".join(["%s"] * len(values))
        self.cursor.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(values.values()))  # noqa: S608 - our own names
        return int(self.cursor.lastrowid)

    def fill(self) -> None:
        self.cursor.execute("SET sql_mode = ''")
        now = timezone.now().replace(tzinfo=None)
        times = {"created": now, "modified": now}
        password = PBKDF2PasswordHasher().encode("secret", "salt", iterations=1_000)
        users = {
            name: self.insert(
                "auth_user",
                username=name,
                email=f"{name}@example.org",
                is_active=1,
                is_staff=1,
                is_superuser=1,
                password=password,
                date_joined=now,
            )
            for name in ("ada", "bob", "eve")
        }
        self.insert("course_overviews_courseoverview", id=COURSE, org="Org")
        self.insert("student_courseenrollmentallowed", email="ada@example.org", course_id=COURSE)
        enrolled = self.insert(
            "student_courseenrollment", user_id=users["eve"], course_id=COURSE, mode="masters", is_active=1, created=now
        )
        for key, holder in (("s-1", None), ("s-2", users["eve"]), ("s-3", None)):
            enrollment = self.insert(
                "program_enrollments_programenrollment",
                external_user_key=key,
                program_uuid=PROGRAM.hex,
                curriculum_uuid=CURRICULUM.hex,
                user_id=holder,
                status="enrolled",
                **times,
            )
            course = self.insert(
                "program_enrollments_programcourseenrollment",
                program_enrollment_id=enrollment,
                course_key=COURSE,
                course_enrollment_id=enrolled if holder else None,
                status="active",
                **times,
            )
            self.insert("program_enrollments_courseaccessroleassignment", role="staff", enrollment_id=course, **times)

    def run(self, block: int) -> None:
        for sql in statements(block, NAME):
            self.cursor.execute(sql)

    def env_of(self, name: str, password: str) -> dict[str, str]:
        address = urlsplit(self.env["DATABASE_URL"])
        return {
            "LINKING_LMS": "1",
            "DATABASE_URL": f"mysql://{user(name)}:{password}@{address.hostname}:{address.port}/{NAME}",
        }

    def close(self) -> None:
        for name in USERS:
            self.cursor.execute(f"DROP USER IF EXISTS {name}")
        super().close()


@pytest.fixture
def database(mysql_url: str) -> Iterator[Database]:
    with closing(Database(mysql_url, NAME)) as database:
        for name in USERS:
            database.cursor.execute(f"DROP USER IF EXISTS {name}")
        yield database


def rows(database: Database) -> dict[str, set[Any]]:
    tables = {
        "program_enrollments_programenrollment": "CONCAT_WS(' ', external_user_key, user_id)",
        "program_enrollments_programcourseenrollment": "CONCAT_WS(' ', id, course_enrollment_id)",
        "student_courseenrollment": "CONCAT_WS(' ', user_id, mode, is_active)",
        "student_courseaccessrole": "CONCAT_WS(' ', user_id, role)",
        "program_enrollments_courseaccessroleassignment": "CONCAT_WS(' ', enrollment_id, role)",
    }
    return {table: database.fetch(f"SELECT {columns} FROM {table}") for table, columns in tables.items()}  # noqa: S608 - our own names


def result(database: Database, task_id: str) -> str:
    sql = f"SELECT result FROM linking_results_taskresult WHERE task_id = '{task_id}' AND status = 'SUCCESS'"  # noqa: S608 - an id
    wait_until(lambda: bool(database.fetch(sql)), f"task {task_id} ends")
    return str(*database.fetch(sql))


def logged(process: WorkerProcess, text: str) -> bool:
    return text in process.log.read_text()


def test_the_documented_privileges_are_enough(database: Database, redis_without_worker: str) -> None:
    database.fill()
    before, layout = rows(database), definitions(database.cursor)

    database.run(MIGRATE)
    database.run(SEEN)
    database.env = database.env_of("linking_migrate", "secret-1")
    database.migrate()
    database.migrate("--run-syncdb")
    database.run(WORKER)
    env = database.env_of("linking", "secret-2") | {"CELERY_BROKER_URL": redis_without_worker}
    with WorkerProcess(env) as worker:
        service = next(service_on(redis_without_worker))
        with closing(service):
            expected = '{"s-3": "No user found with username nobody"}'
            assert result(database, service.link(MAPPING, dry_run=True)) == expected
            assert rows(database) == before
            job = service.link(MAPPING)
            assert result(database, job) == expected
            linked = rows(database)
            assert len(linked["student_courseenrollment"]) == 3
            assert len(linked["student_courseaccessrole"]) == 2
            assert database.fetch("SELECT user_id FROM student_courseenrollmentallowed") != {None}
            assert len(database.fetch("SELECT history_id FROM student_courseenrollment_history")) == 3
            assert result(database, service.send("linking.undo_job", job)) == "{}"
            left = rows(database)
            assert left.pop("student_courseenrollment") == {"1 audit 0", "2 audit 0", "3 masters 1"}
            assert left == {table: kept for table, kept in before.items() if table != "student_courseenrollment"}
            for task in ("linking.resume_stalled_jobs", "linking.purge_expired_jobs", "celery.backend_cleanup"):
                ended = f"{task}[{service.send(task)}] succeeded"
                wait_until(partial(logged, worker, ended), ended)
        assert not logged(worker, "denied")

    database.run(PAGES)
    with WebServer(env) as web:
        visitor = Visitor(web.url)
        assert "Jobs" in visitor.post("/admin/login/", username="ada", password="secret", next="/admin/")
        for page in (
            "worker/linkingjob",
            "linking/programenrollment",
            "linking/courseenrollment",
            "api_tokens/apitoken",
        ):
            assert visitor.get(f"/admin/{page}/")
        token = {"name": "sis", "can_submit": "on", "programs": "[]", "requests_per_minute": "60"}
        visitor.post("/admin/api_tokens/apitoken/add/", **token)
        assert database.fetch("SELECT object_repr FROM django_admin_log") == {"token sis"}
        assert "denied" not in web.log.read_text()
    assert definitions(database.cursor) == layout


class Visitor:
    """A browser without a browser."""

    def __init__(self, address: str) -> None:
        self._address = address
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._client = urllib.request.build_opener(urllib.request.ProxyHandler({}), cookies)

    def get(self, path: str, data: bytes | None = None) -> str:
        with self._client.open(self._address + path, data, timeout=30) as page:
            return str(page.read().decode())

    def post(self, path: str, **form: str) -> str:
        """Send the form of a page."""
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get(path))
        assert token is not None
        return self.get(path, urllib.parse.urlencode(form | {"csrfmiddlewaretoken": token[1]}).encode())
