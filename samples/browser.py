"""A headless browser for the browser tests and the screenshots: Debian's chromium."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions, ChromeService

PROGRAMS = ("chromium", "chromedriver")
"""In Debian's packages chromium and chromium-driver."""
OPTIONS = (
    *("--headless=new", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--hide-scrollbars"),
)
"""No window, and no requests to any server but ours."""


def is_installed() -> bool:
    """Return whether both programs are installed."""
    return all(map(shutil.which, PROGRAMS))


@contextmanager
def browser(downloads: Path | None = None, *, width: int = 1280, height: int = 900) -> Iterator[Chrome]:
    """Run a browser with a new profile.

    Args:
        downloads: folder for downloaded files.
        width: width of the window in pixels.
        height: height of the window in pixels.
    """
    chromium, driver = map(shutil.which, PROGRAMS)
    with tempfile.TemporaryDirectory(prefix="linking-browser-", ignore_cleanup_errors=True) as profile:
        options = ChromeOptions()
        options.binary_location = chromium or PROGRAMS[0]
        for flag in (*OPTIONS, f"--window-size={width},{height}", f"--user-data-dir={profile}"):
            options.add_argument(flag)
        if os.geteuid() == 0:
            options.add_argument("--no-sandbox")  # Chromium's sandbox does not work for root.
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        if downloads is not None:
            options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
        chrome = Chrome(options=options, service=ChromeService(driver or PROGRAMS[1]))
        try:
            yield chrome
        finally:
            chrome.quit()
