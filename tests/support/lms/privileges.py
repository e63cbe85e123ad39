"""The statements of ``docs/lms.md`` that give users their privileges, and the privileges one by one."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parents[3] / "docs" / "lms.md"
GRANT = re.compile(r"GRANT (.+) ON (\w+)\.(\w+) TO (\w+)")
PRIVILEGE = re.compile(r"([A-Z]+)(?: (\([^)]*\)))?")
MIGRATE, SEEN, WORKER, PAGES = range(4)
"""The blocks of SQL in the page's section, in its order."""


@dataclass(frozen=True, slots=True)
class Privilege:
    """A privilege of a user on a table, or on some of its columns."""

    name: str
    columns: str
    database: str
    table: str
    user: str

    def __str__(self) -> str:
        return f"{self.name} on {self.table}"

    @property
    def grant(self) -> str:
        """The statement that gives it."""
        return f"GRANT {self.name} {self.columns} ON {self.database}.{self.table} TO {self.user}"

    @property
    def revoke(self) -> str:
        """The statement that takes it away."""
        return f"REVOKE {self.name} {self.columns} ON {self.database}.{self.table} FROM {self.user}"


def user(name: str) -> str:
    """Return the name of a documented user on a server that other processes use, too."""
    return f"{name}_{os.getpid()}"


def statements(block: int, database: str) -> list[str]:
    """Return the statements of a block, for a database and users of this process."""
    section = PAGE.read_text(encoding="utf-8").partition("\n## Database user\n")[2].partition("\n## ")[0]
    sql = re.findall(r"```sql\n(.*?)```", section, re.DOTALL)[block].replace(" openedx.", f" {database}.")
    sql = re.sub(r"\b(TO|USER) (\w+)", lambda match: f"{match[1]} {user(match[2])}", sql)
    return [one.strip() for one in sql.split(";") if one.strip()]


def privileges(block: int, database: str) -> Iterator[Privilege]:
    """Yield the privileges that a block gives."""
    for sql in statements(block, database):
        if match := GRANT.fullmatch(sql):
            for name, columns in PRIVILEGE.findall(match[1]):
                yield Privilege(name, columns, match[2], match[3], match[4])
