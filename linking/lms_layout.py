"""The layout that tables of an LMS must have: derived from our models, and compared with those that there are."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from linking.engine.lms_tables import ALLOWED, HISTORY_OF, ROLE_HISTORY
from linking.models import (
    CourseAccessRole,
    CourseAccessRoleAssignment,
    CourseEnrollment,
    ProgramCourseEnrollment,
    ProgramEnrollment,
)
from linking.sql import dialect

WRITES: Mapping[type[models.Model], frozenset[str]] = {
    CourseEnrollment: frozenset({"INSERT", "UPDATE"}),
    CourseAccessRole: frozenset({"INSERT", "UPDATE", "DELETE"}),
    CourseAccessRoleAssignment: frozenset({"INSERT", "DELETE"}),
    ProgramEnrollment: frozenset({"UPDATE"}),
    ProgramCourseEnrollment: frozenset({"UPDATE"}),
}
"""What linking or an undo does with the rows of a model, apart from reading; with those of others, nothing."""
ACCOUNT = {"username", "email", "is_active"}
"""Fields of an account that linking reads; the pages read the others, as they are in every release of Django."""

INTEGER, BOOLEAN, TEXT, UUID, TIME = "a whole number", "true or false", "a text", "a UUID", "a date with time"
OTHER = "any value"
TYPES = {
    INTEGER: {"smallint", "mediumint", "int", "integer", "bigint"},
    BOOLEAN: {"tinyint", "boolean"},
    TEXT: {"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "character", "character varying"},
    UUID: {"char", "varchar", "uuid"},
    TIME: {"datetime", "timestamp with time zone"},
}
"""Types of a database, as in ``information_schema``, by what a column has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NeededColumn:
    """A column that we use.

    ``length`` is that of the longest text, in letters. ``takes_null``: we write NULL. ``is_exact``: we compare times,
    so that they must have fractions of seconds.
    """

    kind: str
    length: int = 0
    takes_null: bool = False
    is_exact: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NeededTable:
    """A table that we use: columns, those that are unique together, those that are looked up.

    We insert into a table of history copies of all columns that it shares with ``source``. An ``is_optional`` table may
    be missing. ``writes`` are the commands that we run on its rows, ``read`` the columns that we read.
    """

    name: str
    columns: Mapping[str, NeededColumn]
    uniques: Collection[frozenset[str]] = ()
    lookups: Collection[str] = ()
    writes: frozenset[str] = frozenset()
    read: Collection[str] = ()
    is_optional: bool = False
    source: str = ""

    @property
    def is_inserted(self) -> bool:
        """Whether we insert rows."""
        return "INSERT" in self.writes


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column as it is."""

    kind: str
    length: int | None
    precision: int | None
    is_null: bool
    is_filled: bool
    collation: str | None

    def __str__(self) -> str:
        return f"{self.kind}({self.length})" if self.length and "text" not in self.kind else self.kind


@dataclass(slots=True, kw_only=True)
class Table:
    """A table as it is: columns, and the columns of each index; ``uniques`` are those of unique ones."""

    engine: str | None
    columns: dict[str, Column] = field(default_factory=dict)
    indexes: list[tuple[str, ...]] = field(default_factory=list)
    uniques: list[frozenset[str]] = field(default_factory=list)


def needed_tables() -> list[NeededTable]:
    """Return the tables of the LMS that linking uses: those of our models, accounts and history."""
    models_of_linking = apps.get_app_config("linking").get_models()
    tables = {table.name: table for table in map(_needed_table, (*models_of_linking, get_user_model()))}
    return [*tables.values(), *_needed_histories(tables)]


def _needed_table(model: type[models.Model]) -> NeededTable:
    options = model._meta  # noqa: SLF001 - Django's documented API
    writes = WRITES.get(model, frozenset())
    is_written = bool(writes)
    # Any: a column's name is optional in django-stubs, and some attributes are missing.
    fields: dict[str, Any] = {
        one.name: one
        for one in options.local_concrete_fields
        if model is not get_user_model() or one.primary_key or one.name in ACCOUNT
    }
    together = [
        tuple(fields[name].column for name in constraint.fields)
        for constraint in options.constraints
        if isinstance(constraint, models.UniqueConstraint)
    ]
    uniques = [*together, *((one.column,) for one in fields.values() if one.unique)]
    indexed = [one.column for one in fields.values() if one.db_index]
    return NeededTable(
        name=options.db_table,
        columns={one.column: _needed_column(one, is_written=is_written) for one in fields.values()},
        uniques=[*map(frozenset, uniques)] if is_written or model is get_user_model() else (),
        lookups=dict.fromkeys([*(columns[0] for columns in uniques), *indexed]),
        writes=writes,
        read=[one.column for one in fields.values()],
    )


def _needed_column(one: Any, *, is_written: bool) -> NeededColumn:
    target = one.target_field if one.is_relation else one
    kinds: tuple[tuple[type[models.Field[Any, Any]], str], ...] = (
        (models.UUIDField, UUID),
        (models.DateTimeField, TIME),
        (models.CharField, TEXT),
        (models.TextField, TEXT),
        (models.BooleanField, BOOLEAN),
        (models.IntegerField, INTEGER),
    )
    kind = next((name for kind, name in kinds if isinstance(target, kind)), OTHER)
    return NeededColumn(
        kind=kind,
        length=(target.max_length or 0) if is_written and kind == TEXT else 0,
        takes_null=is_written and one.null,
        is_exact=is_written and getattr(one, "auto_now", False),
    )


def _needed_histories(tables: Mapping[str, NeededTable]) -> Iterator[NeededTable]:
    number, time = NeededColumn(kind=INTEGER), NeededColumn(kind=TIME)
    reference = NeededColumn(kind=INTEGER, takes_null=True)
    for source, name in HISTORY_OF.items():
        copied = {
            column: NeededColumn(kind=one.kind, length=one.length, takes_null=one.takes_null)
            for column, one in tables[source].columns.items()
        }
        own = {
            "history_id": NeededColumn(kind=OTHER),
            "history_date": time,
            "history_change_reason": NeededColumn(kind=TEXT),
            "history_type": NeededColumn(kind=TEXT, length=1),
            "history_user_id": reference,
        }
        yield NeededTable(name=name, columns=copied | own, writes=frozenset({"INSERT"}), source=source)
    roles = tables[CourseAccessRole._meta.db_table].columns  # noqa: SLF001 - Django's documented API
    role_history = {
        **roles,
        "action_type": NeededColumn(kind=TEXT, length=7),
        "created": time,
        "modified": time,
        "changed_by_id": reference,
        "old_values": NeededColumn(kind=OTHER, takes_null=True),
    }
    yield NeededTable(name=ROLE_HISTORY, columns=role_history, writes=frozenset({"INSERT"}), is_optional=True)
    allowed = {"email": NeededColumn(kind=TEXT), "course_id": NeededColumn(kind=TEXT), "user_id": number}
    yield NeededTable(name=ALLOWED, columns=allowed, lookups=("email",), writes=frozenset({"UPDATE"}), read=[*allowed])


def read_tables(connection: BaseDatabaseWrapper, names: Collection[str]) -> dict[str, Table]:
    """Return those of the tables that exist, by their names."""
    found: dict[str, Table] = {}
    with connection.cursor() as cursor:
        cursor.execute(*dialect(connection).columns_of(names))
        for name, column, kind, length, precision, is_null, is_filled, collation, engine in cursor.fetchall():
            found.setdefault(name, Table(engine=engine)).columns[column] = Column(
                kind=kind.lower(),
                length=length,
                precision=precision,
                is_null=bool(is_null),
                is_filled=bool(is_filled),
                collation=collation,
            )
        indexes: dict[tuple[str, str, bool], list[str]] = {}
        cursor.execute(*dialect(connection).indexes_of(names))
        for name, index, is_unique, column in cursor.fetchall():
            indexes.setdefault((name, index, bool(is_unique)), []).append(column)
    for (name, _, is_unique), columns in indexes.items():
        found[name].indexes.append(tuple(columns))
        if is_unique and None not in columns:
            found[name].uniques.append(frozenset(columns))
    return found
