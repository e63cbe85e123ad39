"""Checks of the database: ``manage.py check --database default``; beside an LMS also each worker at its start."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import ProgrammingError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from linking.lms_layout import (
    TEXT,
    TIME,
    TYPES,
    UUID,
    Column,
    NeededColumn,
    NeededTable,
    Table,
    needed_tables,
    read_tables,
)
from linking.lms_privileges import may_migrate, missing_privileges
from linking.sql import dialect

COLLATION = re.compile(r"utf8mb4_\w*_ci")
"""Collations in which the LMS compares keys: without regard to case."""
TRANSACTIONS = {None, "InnoDB"}
"""Storage engines that have transactions; None: the database has no others."""
DIGITS = 6
"""Digits of the fraction of a second, in times that are compared."""
RELEASE = "Run the LMS's own migrations; if that does not help, this release of the LMS is not supported."


@register(Tags.database)
def collation_folds_unicode(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Warn when the database folds ASCII only, as PostgreSQL does with some collations."""
    messages: list[CheckMessage] = []
    for alias in databases or ():
        connection = connections[alias]
        with connection.cursor() as cursor:
            folded = dialect(connection).fold("'É'")
            cursor.execute(f"SELECT {folded} = 'é'")
            (folds,) = cursor.fetchone() or (True,)
        if not folds:
            messages.append(
                Warning(
                    "The database's collation does not know letters outside ASCII: external user keys that differ"
                    " only in the case of such a letter will not be found.",
                    hint="Create the database with a Unicode LC_CTYPE, for example C.UTF-8 or en_US.UTF-8.",
                    obj=alias,
                    id="linking.W001",
                )
            )
    return messages


@register(Tags.database)
def lms_has_the_tables_that_linking_needs(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Compare the tables of an LMS with those that linking needs; an error is a difference that would harm."""
    if not settings.LINKING_LMS:
        return []
    return [message for alias in databases or () for message in _differences(connections[alias])]


def _differences(connection: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    needed = needed_tables()
    tables = read_tables(connection, [table.name for table in needed])
    for table in needed:
        if table.name in tables:
            copied = tables[table.source].columns if table.source in tables else ()
            yield from _table_differences(table, tables[table.name], copied)
        elif table.is_optional and not _is_recorded(connection, table.name):
            yield Warning(
                f"{table.name}: no such table. Linking does not write it.",
                hint="Older releases of the LMS do not have it.",
                id="linking.W003",
            )
        else:
            hint = f"Check the name of the database, {connection.settings_dict['NAME']}, and docs/lms.md. {RELEASE}"
            msg = f"{table.name}: no such table, or its user {connection.settings_dict['USER']} has no privilege on it."
            yield Error(msg, hint=hint, id="linking.E001")
    yield from _collation_differences(connection, needed, tables)


def _is_recorded(connection: BaseDatabaseWrapper, table: str) -> bool:
    """Return whether a migration of the LMS created a table, so that the user may have no privilege on it."""
    app, _, name = table.partition("_")
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT name FROM django_migrations WHERE app = %s", [app])
            return any(name in migration for (migration,) in cursor.fetchall())
    except ProgrammingError:
        return True  # Not known: the table is missing, or the user may not read it.


@register(Tags.database)
def worker_has_the_privileges_that_linking_needs(
    databases: Sequence[str] | None = None, **_: Any
) -> list[CheckMessage]:
    """Look for privileges on tables of an LMS; the user of `manage.py migrate` needs others."""
    messages: list[CheckMessage] = []
    for connection in (connections[alias] for alias in databases or () if settings.LINKING_LMS):
        if may_migrate(connection):
            continue
        needed = needed_tables()
        tables = read_tables(connection, [table.name for table in needed])
        for table in needed:
            names = ", ".join(missing_privileges(connection, table)) if table.name in tables else ""
            if names:
                user = connection.settings_dict["USER"]
                hint = f"GRANT {names} ON {connection.settings_dict['NAME']}.{table.name} TO {user}; see docs/lms.md."
                msg = f"{table.name}: the user {user} lacks {names}."
                messages.append(Error(msg, hint=hint, id="linking.E010"))
    return messages


def _table_differences(needed: NeededTable, table: Table, copied: Collection[str]) -> Iterator[CheckMessage]:
    if table.engine not in TRANSACTIONS:
        yield Error(
            f"{needed.name}: its storage engine {table.engine} has no transactions.",
            hint=f"ALTER TABLE {needed.name} ENGINE=InnoDB",
            id="linking.E008",
        )
    for name, column in needed.columns.items():
        if name in table.columns:
            yield from _column_differences(f"{needed.name}.{name}", column, table.columns[name])
        else:
            yield Error(f"{needed.name}.{name}: no such column.", hint=RELEASE, id="linking.E002")
    for name, found in table.columns.items():
        is_written = name in needed.columns or name in copied
        if needed.is_inserted and not (is_written or found.is_null or found.is_filled):
            yield Error(
                f"{needed.name}.{name}: NOT NULL without a default, and unknown here: no row can be inserted.",
                hint="A later release of the LMS has added it. Update this worker, or give the column a default.",
                id="linking.E005",
            )
    for columns in needed.uniques:
        if columns <= table.columns.keys() and not any(unique <= columns for unique in table.uniques):
            names = ", ".join(name for name in needed.columns if name in columns)
            yield Error(
                f"{needed.name}: no unique index on {names}: a row could be written twice.",
                hint=f"ALTER TABLE {needed.name} ADD UNIQUE ({names})",
                id="linking.E006",
            )
    for name in needed.lookups:
        if name in table.columns and not any(index[0] == name for index in table.indexes):
            yield Warning(
                f"{needed.name}: no index begins with {name}: slices read and lock the whole table.",
                hint=f"CREATE INDEX … ON {needed.name} ({name})",
                id="linking.W002",
            )


def _column_differences(name: str, needed: NeededColumn, column: Column) -> Iterator[CheckMessage]:
    if needed.kind in TYPES and column.kind not in TYPES[needed.kind]:
        yield Error(f"{name}: its type is {column}, needed is {needed.kind}.", hint=RELEASE, id="linking.E003")
    elif needed.kind == TEXT and column.length is not None and column.length < needed.length:
        yield Error(
            f"{name}: its type is {column}, needed is {needed.kind} of {needed.length} letters.",
            hint=RELEASE,
            id="linking.E003",
        )
    elif needed.kind == TIME and needed.is_exact and (column.precision or 0) < DIGITS:
        yield Warning(
            f"{name}: it has no fractions of a second: an undo may overlook a change in the second of the job's start.",
            hint=f"MODIFY {name.partition('.')[2]} datetime(6)",
            id="linking.W004",
        )
    if needed.takes_null and not column.is_null:
        yield Error(f"{name}: NOT NULL, but linking writes NULL.", hint=RELEASE, id="linking.E004")


def _collation_differences(
    connection: BaseDatabaseWrapper, needed: Sequence[NeededTable], tables: dict[str, Table]
) -> Iterator[CheckMessage]:
    """Compare collations: texts of two of them cannot be compared, and ours have that of the database."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {dialect(connection).database_collation}")
        (expected,) = cursor.fetchone() or (None,)
    if expected is None:
        return
    columns = defaultdict[str, list[str]](list)
    for table in needed:
        # Not those of JSON, which MariaDB compares by bytes.
        for name in (name for name, column in table.columns.items() if column.kind in {TEXT, UUID}):
            found = tables[table.name].columns.get(name) if table.name in tables else None
            if found and found.collation:
                columns[found.collation].append(f"{table.name}.{name}")
    usual = max(columns, key=lambda collation: len(columns[collation]), default=expected)
    database = connection.settings_dict["NAME"]
    if usual != expected:
        yield Error(
            f"{database}: the collation of the database is {expected}, that of the LMS's tables {usual}.",
            hint=f"ALTER DATABASE {database} COLLATE {usual} changes no table; do it before `manage.py migrate`.",
            id="linking.E007",
        )
    if not COLLATION.fullmatch(usual):
        yield Error(
            f"{database}: the collation {usual} is none of utf8mb4 that ignores case: keys would not be found.",
            hint=f"Convert the LMS's tables to {_target(usual)}; with Tutor:"
            " tutor local do convert-mysql-utf8mb4-charset",
            id="linking.E009",
        )
    for collation, names in columns.items():
        if collation != usual:
            for place, its in _by_table(names):
                yield Error(
                    f"{place}: the collation of {', '.join(its)} is {collation}, that of other columns {usual}.",
                    hint=f"ALTER TABLE {place} CONVERT TO CHARACTER SET utf8mb4 COLLATE {usual}",
                    id="linking.E007",
                )


def _target(collation: str) -> str:
    """Return the collation of utf8mb4 to convert tables to."""
    return collation if COLLATION.fullmatch(collation) else "utf8mb4_unicode_ci"


def _by_table(names: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    tables = defaultdict[str, list[str]](list)
    for name in names:
        table, _, column = name.partition(".")
        tables[table].append(column)
    yield from tables.items()
