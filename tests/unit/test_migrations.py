"""An upgrade needs no standstill: workers of the release before go on while and after its migrations are applied."""

from collections.abc import Iterator

from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import AddField, DeleteModel, RemoveField, RenameField, RenameModel
from django.db.migrations.operations.base import Operation
from django.db.models import NOT_PROVIDED

BEFORE_THE_FIRST_RELEASE = {"linking": 1, "worker": 6}
"""The last migrations that nobody has to upgrade from."""
TAKING_AWAY = (DeleteModel, RemoveField, RenameField, RenameModel)


def operations() -> Iterator[tuple[str, Operation]]:
    """Yield the operations of all migrations that are applied beside workers of the release before."""
    for (app, name), migration in MigrationLoader(None).disk_migrations.items():
        if app in BEFORE_THE_FIRST_RELEASE and int(name[:4]) > BEFORE_THE_FIRST_RELEASE[app]:
            yield from ((f"{app} {name}", operation) for operation in migration.operations)


def test_a_new_column_may_be_left_out_by_those_who_do_not_know_it() -> None:
    for place, operation in operations():
        if isinstance(operation, AddField):
            field = operation.field
            left_out = field.null or field.many_to_many or field.db_default is not NOT_PROVIDED
            assert left_out, (
                f"{place}: {operation.name} needs null=True or db_default: workers of the release before write rows"
            )


def test_nothing_is_taken_away_from_those_who_still_use_it() -> None:
    """What no code uses any more is removed one release later: name that migration here."""
    for place, operation in operations():
        assert not isinstance(operation, TAKING_AWAY), f"{place}: {operation.describe()}"
