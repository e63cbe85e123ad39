"""PostgreSQL."""

import random
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psycopg

from chaos.databases.interface import RECORDED, RESULTS, Database, using
from devservers import PostgresServer


class PostgreSQL(Database):
    """A private PostgreSQL."""

    lock_table = "LOCK TABLE student_courseenrollment IN ACCESS EXCLUSIVE MODE"
    isolation = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL {}"
    history = (
        "CREATE TABLE chaos_shared (user_id bigint PRIMARY KEY, learners int)",
        """CREATE TABLE chaos_history (
            n bigserial, changed_in xid8 DEFAULT pg_current_xact_id(), relation text, row_id bigint, user_id bigint,
            place text, held text
        )""",
        "CREATE TABLE chaos_result (task_id text, status text, result text)",
        """CREATE FUNCTION chaos_record() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE held jsonb := to_jsonb(NEW) - '{id,created,modified}'::text[];
        BEGIN
            INSERT INTO chaos_history (relation, row_id, user_id, place, held) VALUES (
                TG_TABLE_NAME, NEW.id, NEW.user_id, COALESCE(held->>'external_user_key', held->>'course_id'), held
            );
            RETURN NULL;
        END $$""",
        """CREATE FUNCTION chaos_record_result() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO chaos_result VALUES (NEW.task_id, NEW.status, NEW.result);
            RETURN NULL;
        END $$""",
        *(
            f"""CREATE TRIGGER chaos_record AFTER INSERT OR UPDATE ON {table}
            FOR EACH ROW EXECUTE FUNCTION {function}()"""
            for table, function in (*dict.fromkeys(RECORDED, "chaos_record").items(), (RESULTS, "chaos_record_result"))
        ),
    )

    def __init__(self) -> None:
        self.server: PostgresServer = PostgresServer()

    def url(self, name: str, port: int | None = None) -> str:
        """Return the address."""
        through_socket = self.server.url.replace("/postgres?", f"/{name}?")
        return f"postgresql://postgres@127.0.0.1:{port}/{name}" if port else through_socket

    @property
    def target(self) -> Path:
        """The socket."""
        return self.server.folder / ".s.PGSQL.5432"

    def admin(self) -> AbstractContextManager[Any]:
        """Connect."""
        return using(psycopg.connect(self.server.url, autocommit=True))

    def copy(self, name: str, source: str) -> None:
        """Copy files."""
        with psycopg.connect(self.url(source), autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
        with self.admin() as cursor:
            cursor.execute(f"CREATE DATABASE {name} TEMPLATE {source}")

    def drop(self, name: str) -> None:
        """Drop it."""
        with self.admin() as cursor:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def kill_sessions(self, name: str, choice: random.Random) -> int:
        """End some."""
        with self.admin() as cursor:
            cursor.execute("SELECT pid FROM pg_stat_activity WHERE datname = %s ORDER BY pid", [name])
            sessions = [pid for (pid,) in cursor.fetchall()]
            chosen = choice.sample(sessions, min(choice.randint(1, 3), len(sessions)))
            for pid in chosen:
                cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
        return len(chosen)
