"""Packages that only some tests need, and that are installed apart from the others."""

import os
from importlib.util import find_spec

import pytest


def require(module: str, requirements: str) -> None:
    """Skip the test if a module is not installed; in continuous integration, fail."""
    if find_spec(module) is not None:
        return
    missing = f"there is no {module}: pip install -r requirements/{requirements}"
    if os.environ.get("TESTS_MUST_NOT_SKIP"):
        pytest.fail(missing)
    pytest.skip(missing)
