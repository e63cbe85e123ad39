"""Databases to measure on: each run starts on an exact copy of the same rows, with the same statistics."""

from urllib.parse import urlsplit

import psycopg
from django.core.management import call_command
from django.db import connection as django_connection
from psycopg import sql

from benchmarks.workloads import Workload, write_rows

WORKED_ON = "bench"
"""The database that contestants work on; ``DATABASE_URL`` names it."""


def url_of(server_url: str, name: str) -> str:
    """Return the URL of a database of the server that ``server_url`` leads to."""
    return urlsplit(server_url)._replace(path=f"/{name}").geturl()


class Databases:
    """The templates of a server, and the one database that is worked on.

    Args:
        server_url: of the server's database ``postgres``.
    """

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._admin = psycopg.connect(server_url, autocommit=True)

    def make_templates(self, total: int, workloads: tuple[Workload, ...] = tuple(Workload)) -> None:
        """Make a template of ``total`` learners for each workload."""
        self._create(WORKED_ON, "template0")
        call_command("migrate", verbosity=0)
        django_connection.close()
        self._run("ALTER DATABASE {} RENAME TO {}", WORKED_ON, "tables")
        for workload in workloads:
            self._create(workload, "tables")
            with self.connect(workload) as connection:
                write_rows(connection, workload, total)
                connection.execute("VACUUM (ANALYZE, FREEZE)")

    def restore(self, workload: Workload) -> None:
        """Throw the database worked on away and copy the workload's template; whoever is connected must reconnect."""
        django_connection.close()
        self._run("DROP DATABASE IF EXISTS {} WITH (FORCE)", WORKED_ON)
        self._create(WORKED_ON, workload)

    def drop_templates(self) -> None:
        """Remove the templates, so that others can be made."""
        django_connection.close()
        for name in (WORKED_ON, "tables", *Workload):
            self._run("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def connect(self, name: str = WORKED_ON) -> psycopg.Connection:
        """Open a connection of our own, in autocommit mode."""
        return psycopg.connect(url_of(self._server_url, name), autocommit=True)

    def _create(self, name: str, template: str) -> None:
        # FILE_COPY writes the copy to disk here and now: it is not the next contestant's to write.
        self._run("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", name, template)

    def _run(self, statement: str, *names: str) -> None:
        self._admin.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
