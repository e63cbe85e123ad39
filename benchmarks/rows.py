"""Insert model instances through a connection that is not Django's."""

import psycopg
from django.db import connection as django_connection
from django.db.models import Model
from psycopg import sql


def insert(connection: psycopg.Connection, instance: Model) -> None:
    """Insert ``instance`` with all columns of its model."""
    fields = [field for field in instance._meta.concrete_fields if not field.primary_key or instance.pk is not None]  # noqa: SLF001 - Django's documented API
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(instance._meta.db_table),  # noqa: SLF001
        sql.SQL(", ").join(sql.Identifier(str(field.column)) for field in fields),
        sql.SQL(", ").join(sql.Placeholder() for _ in fields),
    )
    values = [field.get_db_prep_save(field.pre_save(instance, True), django_connection) for field in fields]
    connection.execute(statement, values)
