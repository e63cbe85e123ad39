"""A real browser without a window: Debian's chromium, for the browser tests and the pictures of the README."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions, ChromeService

NEEDED = ("chromium", "chromedriver")
"""Programs; Debian has them in the packages chromium and chromium-driver."""
QUIET = (
    *("--headless=new", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--hide-scrollbars"),
)
"""No window, and no word to anybody but our own server."""


def is_installed() -> bool:
    """Return whether this machine has what a browser needs."""
    return all(map(shutil.which, NEEDED))


@contextmanager
def browser(downloads: Path | None = None, *, width: int = 1280, height: int = 900) -> Iterator[Chrome]:
    """Run a browser with a profile of its own.

    Args:
        downloads: the folder for what it downloads.
        width: of the window, in pixels.
        height: of the window, in pixels.
    """
    chromium, driver = map(shutil.which, NEEDED)
    with tempfile.TemporaryDirectory(prefix="linking-browser-", ignore_cleanup_errors=True) as profile:
        options = ChromeOptions()
        options.binary_location = chromium or NEEDED[0]
        for flag in (*QUIET, f"--window-size={width},{height}", f"--user-data-dir={profile}"):
            options.add_argument(flag)
        if os.geteuid() == 0:
            options.add_argument("--no-sandbox")  # Chromium refuses to be root in its sandbox.
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        if downloads is not None:
            options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
        chrome = Chrome(options=options, service=ChromeService(driver or NEEDED[1]))
        try:
            yield chrome
        finally:
            chrome.quit()
