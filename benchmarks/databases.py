"""The databases of the benchmarks: each run starts with an exact copy of the same rows and statistics."""

from urllib.parse import urlsplit

import psycopg
from django.core.management import call_command
from django.db import connection as django_connection
from psycopg import sql

from benchmarks import fingerprints
from benchmarks.interface import Fingerprints
from benchmarks.workloads import Workload, write_rows

CURRENT = "bench"
"""The database that variants link in; ``DATABASE_URL`` names it."""


def url_of(server_url: str, name: str) -> str:
    """Return the URL of another database of the same server."""
    return urlsplit(server_url)._replace(path=f"/{name}").geturl()


class Databases:
    """The templates of a server, and the database that variants link in.

    Args:
        server_url: URL of the server's database ``postgres``.
    """

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._admin = psycopg.connect(server_url, autocommit=True)

    def make_templates(self, total: int, workloads: tuple[Workload, ...] = tuple(Workload)) -> None:
        """Create a template of ``total`` learners for each workload."""
        self._create(CURRENT, "template0")
        call_command("migrate", verbosity=0)
        django_connection.close()
        self._run("ALTER DATABASE {} RENAME TO {}", CURRENT, "tables")
        for workload in workloads:
            self._create(workload, "tables")
            with self.connect(workload) as connection:
                write_rows(connection, workload, total)
                connection.execute("VACUUM (ANALYZE, FREEZE)")

    def restore(self, workload: Workload) -> None:
        """Replace the database by a copy of the workload's template; this ends all connections to it."""
        django_connection.close()
        self._run("DROP DATABASE IF EXISTS {} WITH (FORCE)", CURRENT)
        self._create(CURRENT, workload)

    def drop_templates(self) -> None:
        """Drop the templates, so that others can be created."""
        django_connection.close()
        for name in (CURRENT, "tables", *Workload):
            self._run("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def connect(self, name: str = CURRENT) -> psycopg.Connection:
        """Open a connection in autocommit mode."""
        return psycopg.connect(url_of(self._server_url, name), autocommit=True)

    def version(self) -> str:
        """Return the server's name and version."""
        (version,) = self._admin.execute("SHOW server_version").fetchone() or ("unknown",)
        return f"PostgreSQL {version}"

    def checksums(self, connection: psycopg.Connection, part: int | None = None) -> Fingerprints:
        """Return the checksums of the tables of linking, of all rows or those of the first ``part`` learners."""
        return fingerprints.tables(connection, part)

    def checksums_of_ledger(self, connection: psycopg.Connection, job_id: str) -> Fingerprints:
        """Return the checksums of a job's rows in the ledger."""
        return fingerprints.ledger(connection, job_id)

    def _create(self, name: str, template: str) -> None:
        # FILE_COPY writes the copy to disk at once; otherwise the measured variant would have to write it.
        self._run("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", name, template)

    def _run(self, statement: str, *names: str) -> None:
        self._admin.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
