"""Fixtures of the integration tests: LMS users, two implementations that must agree, learners' log, an inbox, pages."""

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from django.conf import LazySettings
    from django.contrib.auth.models import User
    from django.test import Client

    from tests.support.broker import Broker
    from tests.support.runs import Link


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every integration test the database; one with real commits is marked ``django_db(transaction=True)``.

    On MySQL that is every test beside triggers, which it cannot create in a transaction.
    """
    for item in items:
        if "integration" in item.path.parts and item.get_closest_marker("django_db") is None:
            is_mysql = item.config.getoption("database") in {"mysql", "mariadb"}
            commits = is_mysql and hasattr(getattr(item, "module", None), "failing_writes")
            item.add_marker(pytest.mark.django_db(transaction=commits))


@pytest.fixture
def ada(django_user_model: type["User"]) -> "User":
    return django_user_model.objects.create(username="ada")


@pytest.fixture
def bob(django_user_model: type["User"]) -> "User":
    return django_user_model.objects.create(username="bob")


@pytest.fixture(params=["engine", "reference"])
def link(request: pytest.FixtureRequest) -> "Link":
    """Run the workflow: each rule is tested on the engine and on the reference that the engine is compared with."""
    from tests.support import runs  # noqa: PLC0415 - Django is configured by now

    return runs.link_by_engine if request.param == "engine" else runs.link_by_reference


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Every log record, including those about learners, whose logger the settings switch off."""
    learners = logging.getLogger("linking.learners")
    before = learners.level, learners.propagate
    learners.setLevel(logging.DEBUG)
    learners.propagate = False
    learners.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.DEBUG):
            yield caplog
    finally:
        learners.level, learners.propagate = before
        learners.removeHandler(caplog.handler)


@pytest.fixture
def folder(tmp_path: "Path", settings: "LazySettings", monkeypatch: pytest.MonkeyPatch) -> "Path":
    """An inbox whose files may be claimed at once."""
    from worker.imports import folder as inbox_folder  # noqa: PLC0415 - Django is configured by now

    monkeypatch.setattr(inbox_folder, "SETTLE_SECONDS", 0.0)
    settings.LINKING_INBOX = tmp_path / "inbox"
    (tmp_path / "inbox").mkdir()
    return inbox_folder.prepare_inbox()


@pytest.fixture
def broker(redis_without_worker: str) -> "Broker":
    """The broker of the pages, without a worker."""
    from tests.support.broker import Broker  # noqa: PLC0415 - Django is configured by now

    return Broker(redis_without_worker)


@pytest.fixture
def runner() -> "Client":
    """A visitor of the pages who may run jobs."""
    from tests.support.visitors import RUN, VIEW, visitor  # noqa: PLC0415 - Django is configured by now

    return visitor(VIEW, RUN)
