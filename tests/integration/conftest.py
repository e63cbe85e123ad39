"""What the tests of the rules share: the two implementations that must agree on them, and the learners' log."""

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.runs import Link


@pytest.fixture(params=["engine", "reference"])
def link(request: pytest.FixtureRequest) -> "Link":
    """Run the workflow: each rule is tested on the engine, and on the reference that the engine is compared with."""
    from tests.support import runs  # noqa: PLC0415 - Django is configured by now

    return runs.link_by_engine if request.param == "engine" else runs.link_by_reference


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Every log record, those about learners included, which the settings keep to themselves."""
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
