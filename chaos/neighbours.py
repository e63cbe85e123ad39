"""Other programs that write the same tables as an LMS does: row by row, in other orders than ours, for a long time.

They lock rows by ``SELECT ... FOR UPDATE``, and users also by an update of a column that is not compared.
"""

import random
import time
from collections.abc import Iterator, Sequence

from django.db import DatabaseError, InterfaceError, connection, transaction

from chaos.context import Context
from linking.models import CourseEnrollment, ProgramCourseEnrollment, ProgramEnrollment
from linking.sql import is_contention, is_lock_timeout, is_outage

WINDOW = 400
"""Program enrollments that follow each other, from which a transaction takes its rows: learners of few slices."""
ROWS = 12
"""Rows of each table that a transaction locks."""
PAUSE = 0.01
"""Seconds between two locks."""
LOGIN = "UPDATE auth_user SET last_login = CURRENT_TIMESTAMP WHERE id = %s"
"""Locks a user, to whom the rows that we insert point."""
ISOLATION = ("READ COMMITTED", "REPEATABLE READ")
"""Django's isolation level on MySQL, and MySQL's own."""


def cross_locks(context: Context, seed: float, seconds: float) -> None:
    """Run transactions that lock users, course enrollments and program enrollments in an order that is not ours."""
    choice = random.Random(seed)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        _transact(context, choice, hold=0)


def hold_rows(context: Context, seed: float, seconds: float) -> None:
    """Run one transaction that holds its rows for some seconds."""
    _transact(context, random.Random(seed), hold=seconds)


def _transact(context: Context, choice: random.Random, hold: float) -> None:
    outcome = "committed"
    try:
        with connection.cursor() as cursor:
            cursor.execute(context.environment.database.isolation.format(choice.choice(ISOLATION)))
        _lock(choice, hold)
    except (DatabaseError, InterfaceError) as error:
        if is_outage(error):
            outcome = "ended with the connection"
        elif is_lock_timeout(error):
            outcome = "lost by a lock timeout"
        else:
            outcome = "lost by a deadlock" if is_contention(error) else f"failed: {error}"
        time.sleep(PAUSE)
    finally:
        connection.close()
    context.neighbours[outcome] += 1


@transaction.atomic
def _lock(choice: random.Random, hold: float) -> None:
    for sql, row_id in _statements(choice):
        with connection.cursor() as cursor:
            cursor.execute(sql, [row_id])
        time.sleep(PAUSE)
    time.sleep(hold)


def _statements(choice: random.Random) -> Iterator[tuple[str, int]]:
    """Yield statements with the id of a row each."""
    last = ProgramEnrollment.objects.order_by("-pk").values_list("pk", flat=True)[0]
    first = choice.randint(1, max(1, last - WINDOW))
    programs = list(range(first, first + WINDOW))
    pointers = ProgramCourseEnrollment.objects.filter(program_enrollment_id__in=programs)
    courses = list(pointers.exclude(course_enrollment=None).values_list("course_enrollment_id", flat=True))
    users = list(CourseEnrollment.objects.filter(pk__in=courses).values_list("user_id", flat=True))
    lock = "SELECT id FROM {} WHERE id = %s FOR UPDATE"
    groups = [
        _pick(choice, choice.choice((lock.format("auth_user"), LOGIN)), users),
        _pick(choice, lock.format("student_courseenrollment"), courses),
        _pick(choice, lock.format("program_enrollments_programenrollment"), programs),
    ]
    choice.shuffle(groups)
    for group in groups:
        yield from group


def _pick(choice: random.Random, sql: str, ids: Sequence[int]) -> list[tuple[str, int]]:
    return [(sql, row_id) for row_id in sorted(choice.sample(ids, min(ROWS, len(ids))), reverse=True)]
