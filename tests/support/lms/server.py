"""A database of an LMS on a server of the tests, for other processes."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.support.lms.database import load_schema
from tests.support.programs import manage

if TYPE_CHECKING:
    import subprocess


class LMSDatabase:
    """A database with the tables of an LMS, and no others."""

    def __init__(self, server: str, name: str) -> None:
        import MySQLdb  # noqa: PLC0415 - an extra of the package

        address = urlsplit(server)
        self.env = {"LINKING_LMS": "1", "DATABASE_URL": f"{server}{name}"}
        self.connection = MySQLdb.connect(
            host=address.hostname, port=address.port, user=address.username, autocommit=True
        )
        self.cursor = self.connection.cursor()
        self.name = name
        self.cursor.execute(f"DROP DATABASE IF EXISTS {name}")
        self.cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
        self.cursor.execute(f"USE {name}")
        load_schema(self.cursor)

    def close(self) -> None:
        self.cursor.execute(f"DROP DATABASE {self.name}")
        self.connection.close()

    def manage(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return manage(*arguments, env=self.env)

    def migrate(self, *arguments: str) -> None:
        process = self.manage("migrate", "--verbosity=0", *arguments)
        assert process.returncode == 0, process.stderr

    def fetch(self, sql: str) -> set[str]:
        self.cursor.execute(sql)
        return {value for (value,) in self.cursor.fetchall()}
