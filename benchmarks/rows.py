"""Insert model instances through a connection that is not Django's."""

from django.db import connection as django_connection
from django.db.models import Model

from benchmarks.interface import Connection


def insert(connection: Connection, instance: Model) -> None:
    """Insert ``instance`` with all columns of its model."""
    fields = [field for field in instance._meta.concrete_fields if not field.primary_key or instance.pk is not None]  # noqa: SLF001 - Django's documented API
    columns = ", ".join(django_connection.ops.quote_name(str(field.column)) for field in fields)
    statement = f"INSERT INTO {instance._meta.db_table} ({columns}) VALUES ({', '.join(['%s'] * len(fields))})"  # noqa: SLF001
    values = [field.get_db_prep_save(field.pre_save(instance, True), django_connection) for field in fields]
    connection.execute(statement, values)
