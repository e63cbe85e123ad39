"""Other programs that write the same tables as an LMS does: row by row, in other orders than ours, for a long time.

They lock rows by ``SELECT ... FOR UPDATE`` and by updates that change no column that is compared.
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
            cursor.execute(context.environment.database.unrecorded)
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
    groups = [
        _pick(choice, "auth_user", "last_login = CURRENT_TIMESTAMP", users),
        _pick(choice, "student_courseenrollment", "is_active = is_active", courses),
        _pick(choice, "program_enrollments_programenrollment", "modified = CURRENT_TIMESTAMP", programs),
    ]
    choice.shuffle(groups)
    for group in groups:
        yield from group


def _pick(choice: random.Random, table: str, change: str, ids: Sequence[int]) -> list[tuple[str, int]]:
    picked = sorted(choice.sample(ids, min(ROWS, len(ids))), reverse=True)
    statements = (f"SELECT id FROM {table} WHERE id = %s FOR UPDATE", f"UPDATE {table} SET {change} WHERE id = %s")
    return [(choice.choice(statements), row_id) for row_id in picked]
