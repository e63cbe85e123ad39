"""The databases of the benchmarks on MySQL and MariaDB: each run starts with the same rows and statistics."""

from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection as django_connection

from benchmarks.interface import Fingerprints
from benchmarks.mysql import fingerprints
from benchmarks.mysql.connection import Connection
from benchmarks.rows import insert
from benchmarks.workloads import EMPTY_PROGRAM, FORMER_JOB, Workload, parameters_of, statements_of
from tests.support.lms.database import load_schema
from worker.models import LinkingJob


class Databases:
    """The templates of a server, and the database that variants link in.

    Args:
        server_url: URL of the server, without the name of a database.
        name: the database that variants link in; ``DATABASE_URL`` names it.
        lms: whether it has the tables of an LMS, with history.
    """

    def __init__(self, server_url: str, name: str, *, lms: bool = False) -> None:
        self._lms = lms
        self._server_url = server_url
        self._name = name
        self._admin = Connection(server_url)
        self._admin.execute("SET SESSION foreign_key_checks = 0, unique_checks = 0")
        self._tables: list[tuple[str, str]] = []

    def make_templates(self, total: int, workloads: tuple[Workload, ...] = tuple(Workload)) -> None:
        """Create a template of ``total`` learners for each workload."""
        self._create(self._name)
        if self._lms:
            with self.connect() as connection:
                load_schema(connection)
        ContentType.objects.clear_cache()  # Of the database that this one replaces.
        call_command("migrate", verbosity=0)
        django_connection.close()
        for workload in workloads:
            self._create(self._template(workload))
            self._tables = self._definitions(self._name)
            with self.connect(self._template(workload)) as connection:
                connection.execute("SET SESSION foreign_key_checks = 0")
                for _, definition in self._tables:
                    connection.execute(definition)
                connection.execute("SET SESSION foreign_key_checks = 1, sql_mode = ''")
                _write_rows(connection, workload, total)
        self._tables = self._definitions(self._template(workloads[0]))

    def restore(self, workload: Workload) -> None:
        """Replace the tables by copies of the workload's template; connections to the database stay open."""
        django_connection.close()
        admin = self._admin
        admin.execute(f"USE {self._name}")
        for table, definition in self._tables:
            admin.execute(f"DROP TABLE IF EXISTS {table}")
            admin.execute(definition)
            admin.execute(f"INSERT INTO {table} SELECT * FROM {self._template(workload)}.{table} ORDER BY 1")
        admin.execute(f"ANALYZE TABLE {', '.join(table for table, _ in self._tables)}").fetchall()

    def drop_templates(self) -> None:
        """Drop all databases."""
        django_connection.close()
        for name in (self._name, *map(self._template, Workload)):
            self._admin.execute(f"DROP DATABASE IF EXISTS {name}")

    def connect(self, name: str | None = None) -> Connection:
        """Open a connection in autocommit mode."""
        return Connection(self._server_url, self._name if name is None else name)

    def version(self) -> str:
        """Return the server's name and version."""
        ((version,),) = self._admin.execute("SELECT VERSION()").fetchall()
        return f"{'MariaDB' if 'MariaDB' in version else 'MySQL'} {version.partition('-')[0]}"

    def checksums(self, connection: Connection, part: int | None = None) -> Fingerprints:
        """Return the checksums of the tables of linking, of all rows or those of the first ``part`` learners."""
        return fingerprints.tables(connection, part)

    def checksums_of_ledger(self, connection: Connection, job_id: str) -> Fingerprints:
        """Return the checksums of a job's rows in the ledger."""
        found = fingerprints.ledger(connection, job_id)
        return {**found, "history": fingerprints.history(connection)} if self._lms else found

    def _template(self, workload: Workload) -> str:
        return f"{self._name}_{workload}"

    def _create(self, name: str) -> None:
        self._admin.execute(f"DROP DATABASE IF EXISTS {name}")
        self._admin.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")

    def _definitions(self, name: str) -> list[tuple[str, str]]:
        """Return the names and definitions of all tables of a database."""
        self._admin.execute(f"USE {name}")
        tables = [table for (table,) in self._admin.execute("SHOW TABLES").fetchall()]
        return [(table, self._admin.execute(f"SHOW CREATE TABLE {table}").fetchall()[0][1]) for table in tables]


def _write_rows(connection: Connection, workload: Workload, total: int) -> None:
    connection.execute("CREATE TABLE benchmark_number (number INT PRIMARY KEY)")
    connection.execute("INSERT INTO benchmark_number VALUES (0)")
    while (known := connection.execute("SELECT COUNT(*) FROM benchmark_number").fetchall()[0][0]) < total:
        connection.execute("INSERT INTO benchmark_number SELECT number + %s FROM benchmark_number", [known])
    done = LinkingJob.State.DONE
    insert(connection, LinkingJob(id=FORMER_JOB, program_uuid=EMPTY_PROGRAM, state=done, total=total // 2))
    for statement in statements_of("mysql/workloads.sql"):
        parameters = {name: getattr(value, "hex", value) for name, value in parameters_of(workload, total).items()}
        connection.execute(statement, parameters)
