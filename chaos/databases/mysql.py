"""MySQL and MariaDB."""

import random
from contextlib import AbstractContextManager, suppress
from typing import Any

from chaos.databases.interface import RECORDED, RESULTS, Database, using
from chaos.proxy import Cut
from devservers import MariaDBServer, MySQLServer

NO_SUCH_SESSION = 1094
COLUMNS = {
    "student_courseenrollment": ("course_id", "mode", "is_active"),
    "student_courseaccessrole": ("course_id", "org", "role"),
    "program_enrollments_programenrollment": ("external_user_key", "program_uuid", "curriculum_uuid", "status"),
}
"""The recorded columns, apart from the user: first the one that is the change's place."""


def _trigger(table: str, event: str) -> str:
    place, *_ = COLUMNS[table]
    pairs = ", ".join(f"'{name}', NEW.{name}" for name in ("user_id", *COLUMNS[table]))
    # No condition on a variable: MySQL decides it for the session that is the first to use the table, and keeps the
    # trigger as it was decided for all that use the open table later. The history was then empty.
    return f"""
        CREATE TRIGGER chaos_{table}_{event} AFTER {event} ON {table} FOR EACH ROW
        INSERT INTO chaos_history (changed_in, relation, row_id, user_id, place, held)
        VALUES (
            COALESCE(@chaos_transaction, UUID_SHORT()), '{table}', NEW.id, NEW.user_id, NEW.{place},
            JSON_OBJECT({pairs})
        )
    """


class MySQL(Database):
    """A private MySQL."""

    cuts = tuple(Cut)
    lock_table = "LOCK TABLES student_courseenrollment WRITE"
    isolation = "SET SESSION TRANSACTION ISOLATION LEVEL {}"
    history = (
        "CREATE TABLE chaos_shared (user_id BIGINT PRIMARY KEY, learners INT)",
        """CREATE TABLE chaos_history (
            n BIGINT AUTO_INCREMENT PRIMARY KEY, changed_in BIGINT UNSIGNED, relation VARCHAR(100), row_id BIGINT,
            user_id BIGINT, place VARCHAR(255), held LONGTEXT
        )""",
        "CREATE TABLE chaos_result (task_id VARCHAR(255), status VARCHAR(50), result LONGTEXT)",
        *(_trigger(table, event) for table in RECORDED for event in ("INSERT", "UPDATE")),
        *(
            f"""CREATE TRIGGER chaos_result_{event} AFTER {event} ON {RESULTS} FOR EACH ROW
            INSERT INTO chaos_result VALUES (NEW.task_id, NEW.status, NEW.result)"""
            for event in ("INSERT", "UPDATE")
        ),
    )

    def __init__(self) -> None:
        self.server: MySQLServer = MySQLServer()

    def url(self, name: str, port: int | None = None) -> str:
        """Return the address."""
        return f"mysql://root@127.0.0.1:{port or self.target}/{name}"

    @property
    def target(self) -> int:
        """The port."""
        return self.server.port

    def admin(self) -> AbstractContextManager[Any]:
        """Connect."""
        import MySQLdb  # noqa: PLC0415 - an extra of the package

        return using(MySQLdb.connect(host="127.0.0.1", port=self.target, user="root", autocommit=True))

    def copy(self, name: str, source: str) -> None:
        """Copy table by table."""
        self.create(name)
        with self.admin() as cursor:
            cursor.execute("SET foreign_key_checks = 0, unique_checks = 0")
            cursor.execute(f"USE {name}")
            for table in _column(cursor, f"SHOW TABLES FROM {source}", 0):
                (definition,) = _column(cursor, f"SHOW CREATE TABLE {source}.{table}", 1)
                cursor.execute(definition)
                cursor.execute(f"INSERT INTO {table} SELECT * FROM {source}.{table}")
                cursor.execute(f"ANALYZE TABLE {table}")
            for trigger in _column(cursor, f"SHOW TRIGGERS FROM {source}", 0):
                (definition,) = _column(cursor, f"SHOW CREATE TRIGGER {source}.{trigger}", 2)
                cursor.execute(definition)

    def drop(self, name: str) -> None:
        """Drop it."""
        with self.admin() as cursor:
            cursor.execute(f"DROP DATABASE {name}")

    def kill_sessions(self, name: str, choice: random.Random) -> int:
        """End some."""
        with self.admin() as cursor:
            cursor.execute("SELECT id FROM information_schema.processlist WHERE db = %s ORDER BY id", [name])
            sessions = [session for (session,) in cursor.fetchall()]
        chosen = choice.sample(sessions, min(choice.randint(1, 3), len(sessions)))
        for session in chosen:
            self.kill_session(session)
        return len(chosen)

    @staticmethod
    def session_of(greeting: bytes) -> int:
        """Read it behind the server's version."""
        begin = greeting.index(0, 5) + 1
        return int.from_bytes(greeting[begin : begin + 4], "little")

    def kill_session(self, session: int) -> None:
        """End it."""
        import MySQLdb  # noqa: PLC0415 - an extra of the package

        with suppress(MySQLdb.OperationalError), self.admin() as cursor:
            cursor.execute(f"KILL CONNECTION {session}")


class MariaDB(MySQL):
    """A private MariaDB."""

    def __init__(self) -> None:
        self.server: MySQLServer = MariaDBServer()


def _column(cursor: Any, sql: str, place: int) -> list[str]:
    cursor.execute(sql)
    return [row[place] for row in cursor.fetchall()]


def number_transactions(connection: Any, **_: object) -> None:
    """Number the transactions of a connection for the triggers: these databases do not show the number of theirs.

    A receiver of ``connection_created``.
    """
    if connection.vendor != "mysql" or "_set_autocommit" in vars(connection):
        return
    set_autocommit = connection._set_autocommit  # noqa: SLF001 - Django begins transactions there

    def set_autocommit_and_number(autocommit: bool) -> None:
        set_autocommit(autocommit)
        number = "NULL" if autocommit else "UUID_SHORT()"
        with connection.wrap_database_errors:
            connection.connection.query(f"SET @chaos_transaction = {number}")

    connection._set_autocommit = set_autocommit_and_number  # noqa: SLF001 - as above
