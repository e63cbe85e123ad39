"""Private servers of MySQL and MariaDB, where the system has their programs."""

import os
import pwd
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, ClassVar

from devservers.broker import free_port
from devservers.server import Server, ServerError

SETTINGS = (
    *("--bind-address=127.0.0.1", "--character-set-server=utf8mb4", "--collation-server=utf8mb4_unicode_ci"),
    *("--skip-log-bin", "--innodb-buffer-pool-size=256M", "--max-connections=200"),
    "--innodb-flush-log-at-trx-commit=2",  # A commit survives a kill of the server, not of the machine.
)


class MySQLServer(Server):
    """A MySQL that clients reach through a port of 127.0.0.1; its account is root without a password.

    Args:
        settings: further options of the server.
    """

    name = "mysql"
    program: ClassVar[tuple[str, ...]] = tuple(shlex.split(os.environ.get("TESTS_MYSQLD", "mysqld")))
    """The call of the server's program; ``TESTS_MYSQLD`` names one that is not installed."""
    package = (
        "docker run --rm -d -p 33306:3306 -e MYSQL_ALLOW_EMPTY_PASSWORD=1 mysql:9,"
        " and TESTS_MYSQL_URL=mysql://root@127.0.0.1:33306/"
    )
    """The command that brings a server where the program is missing."""

    def __init__(self, settings: Sequence[str] = ()) -> None:
        self._settings = settings
        self.port = free_port()
        self._user: dict[str, Any] = {}

    @classmethod
    def is_installed(cls) -> bool:
        """Return whether the system has the program; MariaDB has one of the name ``mysqld``, too."""
        if shutil.which(cls.program[0]) is None:
            return False
        version = subprocess.run([*cls.program, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
        return ("MariaDB" in version.stdout) == (cls.name == "mariadb")

    @property
    def url(self) -> str:
        """The ``DATABASE_URL`` without the name of a database."""
        return f"mysql://root@127.0.0.1:{self.port}/"

    def prepare(self) -> None:
        """Create the data directory."""
        temporary = self.folder / "temporary"
        temporary.mkdir()
        if os.geteuid() == 0:  # The server should not run as root.
            nobody = pwd.getpwnam("nobody")
            self._user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            for folder in (self.folder, temporary):
                os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        process = self.run(self._initialize())
        if process.wait() != 0:
            raise ServerError(self.name, f"is not set up: {process.returncode}", self.log)
        self._register(process, 0)

    def _initialize(self) -> list[str]:
        return [*self.program, "--no-defaults", *self._folders(), "--initialize-insecure"]

    def _folders(self) -> tuple[str, ...]:
        # A starting MariaDB deletes all temporary tables in its tmpdir, also those of other servers.
        return (f"--datadir={self.folder}/data", f"--tmpdir={self.folder}/temporary")

    def command(self) -> Sequence[str]:
        """Return the call of the server."""
        files = (*self._folders(), f"--socket={self.folder}/socket", f"--pid-file={self.folder}/pid")
        return [*self.program, "--no-defaults", *files, f"--port={self.port}", *SETTINGS, *self._settings]

    def process_options(self) -> dict[str, Any]:
        return {"cwd": self.folder, **self._user}

    def answers(self) -> bool:
        import MySQLdb  # noqa: PLC0415 - an extra of the package

        with suppress(MySQLdb.OperationalError):
            MySQLdb.connect(host="127.0.0.1", port=self.port, user="root", connect_timeout=5).close()
            return True
        return False


class MariaDBServer(MySQLServer):
    """A MariaDB, see :class:`MySQLServer`."""

    name = "mariadb"
    program = ("mariadbd",)
    package = "apt-get install mariadb-server"

    def _initialize(self) -> list[str]:
        options = ("--auth-root-authentication-method=normal", "--skip-test-db")
        return ["mariadb-install-db", "--no-defaults", *options, *self._folders()]
