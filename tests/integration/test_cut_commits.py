"""The connection to a real server ends in a COMMIT: nobody is lost, linked twice, or given a false result."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, InterfaceError, connection, connections

from chaos.databases.mysql import MySQL
from chaos.proxy import Cut, Proxy
from linking.bulk import is_outage
from linking.models import CourseEnrollment
from tests.support.jobs import finish, outcomes, submit
from tests.support.rows import add_course_run, enroll, enroll_in_course, make_course
from tests.support.stored import user_of
from worker import jobs
from worker.jobs.ledger import SliceLedger
from worker.jobs.slices import run_slice
from worker.models import JobSlice

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has no server"),
]


@pytest.fixture
def proxy(transactional_db: None) -> Iterator[Proxy]:
    """A proxy through which this process reaches the database."""
    database = connection.settings_dict
    former = {name: database[name] for name in ("HOST", "PORT", "OPTIONS")}
    is_mysql = connection.vendor == "mysql"
    direct = connections.create_connection(connection.alias)
    direct.settings_dict = {**database}
    direct.inc_thread_sharing()  # The proxy kills sessions from a thread of its own.

    def kill(session: int) -> None:
        with suppress(DatabaseError), direct.cursor() as cursor:  # The session may have ended.
            cursor.execute(f"KILL CONNECTION {session}")

    target = int(former["PORT"]) if is_mysql else Path(former["OPTIONS"]["host"], ".s.PGSQL.5432")
    with Proxy(target, session_of=MySQL.session_of, kill_session=kill) as proxy:
        connection.close()
        direct.ensure_connection()
        options = former["OPTIONS"] if is_mysql else {**former["OPTIONS"], "host": "127.0.0.1"}
        database.update(HOST="127.0.0.1", PORT=proxy.port, OPTIONS=options)
        try:
            yield proxy
        finally:
            connection.close()
            direct.close()
            database.update(former)


@pytest.mark.parametrize("cut", Cut)
def test_a_connection_that_ends_in_commit_costs_a_repetition(
    cut: Cut, proxy: Proxy, ada: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    if cut is Cut.KILLED and connection.vendor != "mysql":
        pytest.skip("PostgreSQL ends no session in a COMMIT")
    enrollment = enroll("s-1", ada)
    add_course_run(enrollment, make_course(), enroll_in_course(ada))
    job = submit({"s-1": "bob"})
    jobs.start(job)
    record = SliceLedger.record

    def record_and_cut(ledger: SliceLedger, results: object) -> None:
        record(ledger, results)  # type: ignore[arg-type]
        proxy.cut_commits([cut])  # That of the slice is the next.

    monkeypatch.setattr(SliceLedger, "record", record_and_cut)
    error: Exception | None = None
    try:
        run_slice(job.pk, 0)
    except (DatabaseError, InterfaceError) as caught:
        error = caught
    monkeypatch.undo()

    assert proxy.cut == {cut: 1}
    # The server may commit, and answer, before it ends the session.
    assert (error is None and cut is Cut.KILLED) or is_outage(error or Exception())
    if cut in {Cut.BEFORE, Cut.AFTER}:
        assert outcomes(job) == {"s-1": "relinked" if cut is Cut.AFTER else "pending"}
    assert error is None or JobSlice.objects.filter(attempts__gt=0).count() == 0

    run_slice(job.pk, 0)

    assert finish(job) == {}
    assert outcomes(job) == {"s-1": "relinked"}
    assert user_of(enrollment) == "bob"
    assert CourseEnrollment.objects.filter(user=bob).count() == 1
