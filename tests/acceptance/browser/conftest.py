"""A browser, a web server, and users who are logged in."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from selenium.webdriver import Chrome

from devservers import WebServer
from samples.browser import PROGRAMS, browser, is_installed

if TYPE_CHECKING:
    from tests.support.browser import Person


@pytest.fixture(scope="session")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for the browser's downloads."""
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="session")
def chrome(downloads: Path) -> Iterator[Chrome]:
    """A browser for all tests; without one, tests are skipped, and fail in CI."""
    if not is_installed():
        missing = f"not installed: {' and '.join(PROGRAMS)} (Debian's chromium and chromium-driver)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with browser(downloads) as chrome:
        yield chrome


@pytest.fixture
def web(worker_env: dict[str, str]) -> Iterator[WebServer]:
    """The pages on the test database and the broker of the shared worker.

    Each test has its own server: Django caches the ids of content types, which are new in each test.
    """
    with WebServer(worker_env) as server:
        yield server
        server.stop()


@pytest.fixture
def person(chrome: Chrome, worker_env: dict[str, str]) -> Iterator[Callable[..., "Person"]]:
    """Log users in: ``person(web, *permissions)``. Request it after ``web``: they log out before the server ends."""
    from tests.support.browser import Person  # noqa: PLC0415 - Django is configured by now

    assert worker_env
    with ExitStack() as stack:

        def log_in(web: WebServer, *permissions: str) -> Person:
            person = Person(chrome, f"{web.url}/admin/", *permissions)
            stack.callback(person.log_out)
            return person

        yield log_in
