"""MySQL's and MariaDB's own behaviour: collations, deadlocks, lock timeouts, advisory locks."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from django.contrib.auth.models import User
from django.db import DataError, OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from linking.bulk import advisory_lock, is_lock_timeout
from linking.models import ProgramEnrollment
from linking.sql.mysql import MAX_TEXT
from tests.support.jobs import run, submit
from tests.support.locks import Lock, lock_timeout
from tests.support.rows import add_course_run, enroll, enroll_in_course, make_course, make_user
from tests.support.runs import link_by_engine
from tests.support.stored import user_of
from worker.jobs.slices import run_slice
from worker.models import JobSlice

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'mysql'", reason="MySQL's and MariaDB's own"),
]
LOCK_PROGRAM_ENROLLMENTS = "SELECT * FROM program_enrollments_programenrollment FOR UPDATE"


@pytest.fixture
def enrollment(ada: User) -> ProgramEnrollment:
    """A program enrollment that ada has, realized in a course."""
    enrollment = enroll("s-1", ada)
    add_course_run(enrollment, make_course(), enroll_in_course(ada))
    return enrollment


def test_texts_that_the_collation_takes_for_equal_are_not() -> None:
    stored = {key: enroll(key) for key in ("zoé ", "straße", "K-1")}
    for name in ("anna", "bob", "eve"):
        make_user(name)

    for key in ("zoe", "ZOÉ", "zoé  ", "strasse", "k-1 ", "\N{FULLWIDTH LATIN SMALL LETTER K}-1"):
        assert link_by_engine({key: "anna"}).keys() == {key}, key
    for name in ("Anna", "ánna", "anna ", "bób"):
        assert link_by_engine({"k-1": name}) == {"k-1": f"No user found with username {name}"}
    assert link_by_engine({"ZOÉ ": "anna", "STRAẞE": "bob", "k-1": "eve"}) == {}
    assert [user_of(enrollment) for enrollment in stored.values()] == ["anna", "bob", "eve"]


def test_a_key_is_found_in_a_mixture_of_cases_that_the_collation_does_not_know() -> None:
    """With up to four such letters in any, with more of them as a name is written."""
    georgian = "\N{GEORGIAN LETTER AN}\N{GEORGIAN MTAVRULI CAPITAL LETTER BAN}"
    cherokee = "\N{CHEROKEE SMALL LETTER A}\N{CHEROKEE SMALL LETTER GA}"
    name = f"{cherokee * 3} {cherokee * 3}"
    stored = {georgian: "anna", cherokee[0] + cherokee[1].upper(): "bob", name.title(): "eve"}
    asked = ("\N{GEORGIAN MTAVRULI CAPITAL LETTER AN}\N{GEORGIAN LETTER BAN}", cherokee[0].upper() + cherokee[1], name)
    enrollments = [enroll(key) for key in stored]
    for username in stored.values():
        make_user(username)

    assert link_by_engine(dict(zip(asked, stored.values(), strict=True))) == {}
    assert [user_of(enrollment) for enrollment in enrollments] == [*stored.values()]


def test_idempotency_keys_that_differ_in_case_or_in_spaces_are_two() -> None:
    jobs = {submit({"s-1": "ada"}, idempotency_key=key).pk for key in ("night", "Night", "night ", "nïght")}

    assert len(jobs) == 4


def test_a_deadlock_that_ends_the_whole_transaction_costs_a_repetition(
    enrollment: ProgramEnrollment, bob: User
) -> None:
    """The neighbour has changed more rows: the server ends our transaction, which waits for its course enrollment."""
    for n in range(50):
        make_user(f"neighbour-{n}")
    ready = Event()

    def close_the_circle() -> None:
        neighbour = Lock("UPDATE student_courseenrollment SET mode = 'verified'")
        neighbour.execute("UPDATE auth_user SET last_name = 'x' WHERE username LIKE 'neighbour%'")
        ready.set()
        neighbour.wait_for_blocked(1)
        neighbour.execute(LOCK_PROGRAM_ENROLLMENTS)
        neighbour.release()

    with ThreadPoolExecutor(1) as pool:
        closed = pool.submit(close_the_circle)
        assert ready.wait(20)
        assert link_by_engine({"s-1": "bob"}) == {}
        closed.result(20)
    assert user_of(enrollment) == "bob"


def test_a_lock_timeout_is_raised_and_leaves_no_lock_and_no_attempt(enrollment: ProgramEnrollment, bob: User) -> None:
    """It ends a statement only: without a rollback the locks of the statements before it would stay."""
    job = submit({"s-1": "bob"})
    held = Lock("SELECT * FROM student_courseenrollment FOR UPDATE")
    with lock_timeout(1), pytest.raises(OperationalError) as caught:
        run_slice(job.pk, 0)

    assert is_lock_timeout(caught.value)
    other = Lock(f"{LOCK_PROGRAM_ENROLLMENTS} NOWAIT")
    other.release()
    held.release()
    assert JobSlice.objects.get().attempts == 0
    assert run(job) == {}
    assert user_of(enrollment) == "bob"


def test_an_advisory_lock_ends_with_its_transaction_also_when_that_is_rolled_back() -> None:
    def take(name: str) -> bool:
        try:
            with lock_timeout(1), transaction.atomic():
                advisory_lock(name)
        except OperationalError as error:
            return not is_lock_timeout(error)
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(1) as pool:
        for end in (transaction.set_rollback, lambda _: None):
            with transaction.atomic():
                advisory_lock("one")
                assert not pool.submit(take, "one").result(20)
                assert pool.submit(take, "other").result(20)
                end(True)
            assert pool.submit(take, "one").result(20)


def test_a_value_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(DataError, match="Data too long"):
        make_user("x" * 200)


def test_inserted_course_enrollments_are_found_where_ids_advance_by_more_than_one() -> None:
    """As in a cluster, each member of which has its own ids."""
    course, users = make_course(), [make_user(f"user-{number}") for number in range(3)]
    enrollments = [enroll(f"s-{number}") for number in range(3)]
    for enrollment in enrollments:
        add_course_run(enrollment, course)
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION auto_increment_increment = 7")
    try:
        assert link_by_engine({f"s-{number}": f"user-{number}" for number in range(3)}) == {}
    finally:
        connection.close()

    found = [enrollment.program_course_enrollments.get().course_enrollment for enrollment in enrollments]
    assert [one and one.user for one in found] == users
    assert len({one.pk % 7 for one in found if one}) == 1


def test_learners_with_long_texts_are_written_in_statements_of_a_bounded_size() -> None:
    mapping = {f"s-{number}": f"{number}" + "x" * (MAX_TEXT // 4) for number in range(8)}

    with CaptureQueriesContext(connection) as statements:
        job = submit(mapping)

    inserts = [one["sql"] for one in statements if "INSERT INTO worker_learneroutcome" in one["sql"]]
    assert len(inserts) == 2
    assert {learner.external_user_key: learner.lms_username for learner in job.learners.all()} == mapping
