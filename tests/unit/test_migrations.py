"""An upgrade needs no downtime: workers of the release before run while and after its migrations are applied."""

from collections.abc import Iterator, Sequence

import pytest
from django.db import models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import (
    AddField,
    AlterModelTable,
    CreateModel,
    DeleteModel,
    RemoveField,
    RenameField,
    RenameModel,
    SeparateDatabaseAndState,
)
from django.db.migrations.operations.base import Operation

BEFORE_THE_FIRST_RELEASE = {"api_tokens": 1, "linking": 1, "worker": 6}
"""The last migration of each app that no installation upgrades from."""
REMOVING = (AlterModelTable, DeleteModel, RemoveField, RenameField, RenameModel)
"""Operations that remove a column or table, or its name. Remove what no code uses one release later."""


def faults(operations: Sequence[Operation]) -> Iterator[str]:
    """Yield what would break workers of the release before; operations on the state alone break nothing."""
    for operation in operations:
        if isinstance(operation, SeparateDatabaseAndState):
            yield from faults(operation.database_operations)
        elif isinstance(operation, REMOVING):
            yield operation.describe()
        elif isinstance(operation, AddField):
            field = operation.field
            if not (field.null or field.many_to_many or field.db_default is not models.NOT_PROVIDED):
                yield f"{operation.describe()}: needs null=True or db_default, since the release before omits it"


def test_workers_of_the_release_before_can_go_on() -> None:
    migrations = {
        f"{app} {name}": migration
        for (app, name), migration in MigrationLoader(None).disk_migrations.items()
        if app in BEFORE_THE_FIRST_RELEASE and int(name[:4]) > BEFORE_THE_FIRST_RELEASE[app]
    }

    assert "worker 0007_plain_names" in migrations
    assert {name: found for name, one in migrations.items() if (found := [*faults(one.operations)])} == {}


REQUIRED = AddField("job", "size", models.IntegerField())


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (REQUIRED, 1),
        (AddField("job", "size", models.IntegerField(default=0)), 1),  # Django's default is none of the database's.
        (RemoveField("job", "size"), 1),
        (RenameField("job", "size", "total"), 1),
        (RenameModel("Job", "Task"), 1),
        (DeleteModel("Job"), 1),
        (AlterModelTable("job", "tasks"), 1),
        (SeparateDatabaseAndState(database_operations=[CreateModel("Other", []), REQUIRED]), 1),
        (SeparateDatabaseAndState([SeparateDatabaseAndState([REQUIRED])]), 1),
        (AddField("job", "size", models.IntegerField(null=True)), 0),
        (AddField("job", "size", models.IntegerField(db_default=0)), 0),
        (AddField("job", "tags", models.ManyToManyField("Tag")), 0),
        (CreateModel("Other", [("size", models.IntegerField())]), 0),
        (SeparateDatabaseAndState(state_operations=[REQUIRED, RenameField("job", "size", "total")]), 0),
    ],
)
def test_an_operation_that_breaks_them_is_found_and_no_other(operation: Operation, expected: int) -> None:
    assert len([*faults([operation])]) == expected
