"""Prepare the process that runs ``pytest --lms``."""

import re
import uuid
from collections.abc import Callable
from typing import Any

from django.contrib.auth import get_user_model
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.db.models.signals import pre_migrate

from tests.support.lms import postgres
from tests.support.lms.database import load_schema

TESTS_OWN = ("auth_user", "course_modes_coursemode", "course_overviews_courseoverview")
"""Tables of which tests write rows, and the worker does not."""
TESTS_ONLY = re.compile(rf"INSERT INTO `({'|'.join(TESTS_OWN)})`")


def prepare_session() -> None:
    """Load the LMS's tables before the first migration, and let tests write rows without the columns of the LMS."""
    pre_migrate.connect(_load_schema, dispatch_uid="tests.support.lms")
    connection_created.connect(_fill_columns, dispatch_uid="tests.support.lms")
    field = get_user_model()._meta.get_field("email")  # noqa: SLF001 - Django's documented API
    field.default = _unique_address
    vars(field).pop("_get_default", None)  # It is cached.


def _unique_address() -> str:
    return f"{uuid.uuid4().hex}@example.org"


def _load_schema(using: str = DEFAULT_DB_ALIAS, **_: Any) -> None:
    connection = connections[using]
    with connection.cursor() as cursor:
        if "student_courseenrollment" in connection.introspection.table_names(cursor):
            return
        if connection.vendor == "mysql":
            load_schema(cursor)
        else:
            for statement in (*postgres.statements(), *postgres.defaults(TESTS_OWN)):
                cursor.execute(statement)


def _fill_columns(connection: BaseDatabaseWrapper, **_: Any) -> None:
    if _execute not in connection.execute_wrappers:
        connection.execute_wrappers.append(_execute)


def _execute(run: Callable[..., Any], sql: str, parameters: Any, many: bool, context: dict[str, Any]) -> Any:
    """Give columns that our models do not have MySQL's implicit defaults in the rows that only tests write.

    On PostgreSQL, whose statements do not match, these columns have defaults.
    """
    if not TESTS_ONLY.match(sql):
        return run(sql, parameters, many, context)
    with context["connection"].cursor() as cursor:
        cursor.execute("SET @strict = @@sql_mode, sql_mode = ''")
        try:
            return run(sql, parameters, many, context)
        finally:
            cursor.execute("SET sql_mode = @strict")
