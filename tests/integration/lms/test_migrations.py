"""``LINKING_LMS=1 manage.py migrate`` creates our tables, and changes nothing that is the LMS's."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support.lms.database import TABLES, definitions
from tests.support.lms.server import LMSDatabase
from worker.lms.router import OURS

pytestmark = pytest.mark.skipif("not config.getoption('lms')", reason="a database of an LMS: --lms")


@pytest.fixture
def database(mysql_url: str) -> Iterator[LMSDatabase]:
    with closing(LMSDatabase(mysql_url, "test_lms_migrations")) as database:
        yield database


def applications(database: LMSDatabase) -> dict[str, set[str]]:
    """Return the names of the applied migrations, by the label of their application."""
    labels = database.fetch("SELECT DISTINCT app FROM django_migrations")
    return {
        label: database.fetch(f"SELECT name FROM django_migrations WHERE app = '{label}'")  # noqa: S608 - labels
        for label in labels
    }


@pytest.mark.parametrize("first", [(), sorted(OURS)], ids=["at once", "one by one"])
def test_the_tables_of_the_lms_stay_as_they_are_whatever_the_order(
    database: LMSDatabase, first: tuple[str, ...]
) -> None:
    before, applied = definitions(database.cursor), applications(database)

    for label in first:
        database.migrate(label)
    database.migrate()
    database.migrate("--run-syncdb")

    created = database.fetch("SHOW TABLES") - set(TABLES)
    assert {name.split("_")[0] for name in created} == {"worker", "api", "linking"}
    assert definitions(database.cursor) == before
    now = applications(database)
    assert now.keys() - applied.keys() == OURS
    assert {label: now[label] for label in applied} == applied
    kinds = database.fetch("SELECT DISTINCT app_label FROM django_content_type")
    assert kinds == OURS | {"linking"}
