from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from linking.bulk import dialect

EXACT = (("LinkingJob", "idempotency_key"), ("RequestAttempts", "task_id"))
"""Columns that identify a request: two values that differ in case are two requests."""


def complete(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    """Create what only some databases need."""
    columns = []
    for name, column in EXACT:
        model = apps.get_model("worker", name)
        field = model._meta.get_field(column)
        null = "NULL" if field.null else "NOT NULL"
        columns.append((model._meta.db_table, field.column, str(field.db_type(editor.connection)), null))
    for sql in dialect(editor.connection).schema(columns):
        editor.execute(sql)


class Migration(migrations.Migration):

    dependencies = [("worker", "0014_program_names")]

    operations = [migrations.RunPython(complete, migrations.RunPython.noop, atomic=False)]  # MySQL commits what precedes DDL.
