"""The tables that an LMS keeps beside those of linking: history, and enrollments allowed by e-mail.

Only a worker beside an LMS (``LINKING_LMS``) looks for them, once for each connection: a release of the LMS may add
tables and columns, and its operators restart the workers then.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from linking.sql import dialect
from linking.sql.statements import fetch

PROGRAM_ENROLLMENT = "program_enrollments_programenrollment"
PROGRAM_COURSE_ENROLLMENT = "program_enrollments_programcourseenrollment"
COURSE_ENROLLMENT = "student_courseenrollment"
HISTORY_OF = {
    PROGRAM_ENROLLMENT: "program_enrollments_historicalprogramenrollment",
    PROGRAM_COURSE_ENROLLMENT: "program_enrollments_historicalprogramcourseenrollment",
    COURSE_ENROLLMENT: "student_courseenrollment_history",
}
"""The table of django-simple-history, by the table whose rows it copies."""
ROLE = "student_courseaccessrole"
ROLE_HISTORY = "student_courseaccessrolehistory"
ALLOWED = "student_courseenrollmentallowed"


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryTable:
    """A table of history rows.

    ``copied`` has the columns that it shares with the rows of ``source``. Ids of history rows are UUIDs that their
    writer chooses (``has_uuid``), or numbers that the database counts. A reason has at most ``reason_length`` letters.
    """

    name: str
    source: str
    copied: tuple[str, ...]
    has_uuid: bool
    reason_length: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LmsTables:
    """The tables of an LMS; ``histories`` are by the table whose rows they copy."""

    histories: Mapping[str, HistoryTable] = field(default_factory=dict)
    has_role_history: bool = False
    has_allowed: bool = False


STANDALONE = LmsTables()
"""A worker with tables of its own: no LMS keeps any beside them."""

_found: WeakKeyDictionary[BaseDatabaseWrapper, LmsTables] = WeakKeyDictionary()


def is_beside_lms() -> bool:
    """Return whether the database is that of an LMS."""
    return bool(getattr(settings, "LINKING_LMS", False))


def lms_tables() -> LmsTables:
    """Return the tables of the LMS, as they were when the connection was opened or first asked."""
    if not is_beside_lms():
        return STANDALONE
    connection = connections[DEFAULT_DB_ALIAS]
    if connection not in _found:
        _found[connection] = _find()
    return _found[connection]


def forget(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Forget the tables that were found: Django has opened the connection anew."""
    _found.pop(connection, None)


def _find() -> LmsTables:
    columns: dict[str, dict[str, tuple[str, int | None]]] = defaultdict(dict)
    sql, tables = dialect().columns_of([*HISTORY_OF, *HISTORY_OF.values(), ROLE_HISTORY, ALLOWED])
    for table, column, kind, length, *_ in fetch(sql, tables):
        columns[table][column] = kind, length
    return LmsTables(
        histories={
            source: HistoryTable(
                name=name,
                source=source,
                copied=tuple(column for column in columns[source] if column in columns[name]),
                has_uuid="int" not in columns[name]["history_id"][0].lower(),
                reason_length=columns[name]["history_change_reason"][1],
            )
            for source, name in HISTORY_OF.items()
            if columns[name]
        },
        has_role_history=bool(columns[ROLE_HISTORY]),
        has_allowed=bool(columns[ALLOWED]),
    )
