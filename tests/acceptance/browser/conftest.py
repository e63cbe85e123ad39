"""A real browser, a real web server, and people who use them."""

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
    """The folder for what the browser downloads."""
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="session")
def chrome(downloads: Path) -> Iterator[Chrome]:
    """A browser for all tests; it must be there where tests run by themselves."""
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

    One for each test: Django remembers the numbers of content types, which a test database gives anew to each test.
    """
    with WebServer(worker_env) as server:
        yield server
        server.stop()


@pytest.fixture
def web_without_worker(apart: dict[str, str]) -> Iterator[WebServer]:
    """The pages on a broker that no worker listens to."""
    with WebServer(apart) as server:
        yield server
        server.stop()


@pytest.fixture
def person(chrome: Chrome, worker_env: dict[str, str]) -> Iterator[Callable[..., "Person"]]:
    """Log people in: ``person(web, *permissions)``.

    Ask for it behind the server, so that people leave before the server does.
    """
    from tests.support.browser import Person  # noqa: PLC0415 - Django is configured by now

    assert worker_env
    with ExitStack() as stack:

        def log_in(web: WebServer, *permissions: str) -> Person:
            person = Person(chrome, f"{web.url}/admin/", *permissions)
            stack.callback(person.leave)
            return person

        yield log_in
