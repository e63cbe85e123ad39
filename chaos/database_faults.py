"""The faults of the database: its server and its sessions end, and other programs lock tables and rows."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from django.db import DatabaseError, InterfaceError, connection

from chaos.context import Context
from chaos.neighbours import cross_locks, hold_rows

TRANSACTION = "SELECT COUNT(*) FROM student_courseenrollment"
"""Locks the definition of a table."""
DDL = "ALTER TABLE student_courseenrollment ALTER COLUMN mode SET DEFAULT 'audit'"
"""A change of the table that waits for all transactions with it, and lets no other one begin."""


def restart_database(context: Context) -> bool:
    """Stop the server as an operator does, and start it again."""
    context.environment.database.server.stop()
    time.sleep(context.random.choice((0, 0, 1.5)))
    context.environment.database.server.start()
    return True


def kill_database(context: Context) -> bool:
    """Kill the server and start it again; it recovers from its log."""
    context.environment.database.server.kill()
    time.sleep(context.random.choice((0, 0, 1.5)))
    context.environment.database.server.start()
    return True


def kill_sessions(context: Context) -> bool:
    """End up to three sessions."""
    return context.environment.database.kill_sessions(context.environment.name, context.random) > 0


def cut_commits(context: Context) -> bool:
    """End connections in their next COMMIT: the workers do not learn whether it took place."""
    choice = context.random
    context.environment.proxy.cut_commits(choice.choices(context.environment.database.cuts, k=choice.randint(1, 6)))
    return True


def lock_table(context: Context) -> bool:
    """Lock a table of the LMS against all access for some seconds, as a migration does."""
    seconds = context.stall_after * context.random.uniform(0.5, 2)
    return _hold(context, [context.environment.database.lock_table], seconds)


def change_table(context: Context) -> bool:
    """Change a table of the LMS: the change waits for a long transaction, and everybody for the change."""
    if not _hold(context, [TRANSACTION], context.stall_after * context.random.uniform(0.5, 2)):
        return False
    context.run_beside(_execute, [DDL])
    return True


def provoke_deadlocks(context: Context) -> bool:
    """Let two other programs lock rows in other orders than ours for some time."""
    for _ in range(2):
        seconds = context.stall_after * context.random.uniform(2, 8)
        context.run_beside(cross_locks, context, context.random.random(), seconds)
    return True


def lock_rows(context: Context) -> bool:
    """Let another program hold rows for longer than our statements wait for locks."""
    context.run_beside(hold_rows, context, context.random.random(), 1.5 * context.lock_timeout)
    return True


def _hold(context: Context, statements: Sequence[str], seconds: float) -> bool:
    """Hold for some seconds the locks that statements take; return false if they fail."""
    taken: Future[None] = Future()

    def run() -> None:
        try:
            connection.set_autocommit(False)
            _execute_all(statements)
            taken.set_result(None)
            time.sleep(seconds)
        except (DatabaseError, InterfaceError) as error:
            taken.set_exception(error)
        finally:
            connection.close()

    context.run_beside(run)
    return taken.exception() is None


def _execute(statements: Sequence[str]) -> None:
    try:
        _execute_all(statements)
    except (DatabaseError, InterfaceError):
        pass  # The server or the session was ended meanwhile, or it waited for too long.
    finally:
        connection.close()


def _execute_all(statements: Sequence[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


FAULTS: dict[str, Callable[[Context], bool]] = {
    "database restarted": restart_database,
    "database killed": kill_database,
    "sessions killed": kill_sessions,
    "connections cut in COMMIT": cut_commits,
    "table locked": lock_table,
    "table changed behind a long transaction": change_table,
    "rows locked in other orders": provoke_deadlocks,
    "rows locked past the lock timeout": lock_rows,
}
"""Faults by name."""
