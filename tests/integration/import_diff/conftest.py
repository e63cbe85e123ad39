"""Imports in diff mode, and the learners of their files."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from django.conf import LazySettings

    from tests.support.nights import Nights


@pytest.fixture(autouse=True)
def diff(settings: "LazySettings") -> None:
    settings.LINKING_IMPORT_MODE = "diff"
    settings.LINKING_IMPORT_MAX_RELINKS = "100%"


@pytest.fixture
def learners() -> dict[str, str]:
    from tests.support.populations import add_learners  # noqa: PLC0415 - models need Django to be set up

    return add_learners(6)


@pytest.fixture
def night(tmp_path: Path) -> "Nights":
    from tests.support.nights import Nights  # noqa: PLC0415 - as above

    return Nights(tmp_path)
