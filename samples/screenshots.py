"""Take the screenshots of the README: ``python -m samples.screenshots``.

The program starts the processes of ``make dev``, and a browser that does what an operator does.
"""

from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING

from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from samples.browser import browser
from samples.dev import USERNAME, environment
from samples.program import MAPPING_FILE, PROGRAM_NAME

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
WIDTH = 1280
JOB_TIMEOUT = 120
"""Seconds for a job of the sample program."""


def main() -> None:
    """Take the screenshots."""
    with environment() as running, browser(width=WIDTH, height=1000) as chrome:
        admin = f"{running.web.url}/admin/"
        chrome.get(admin)
        _type(chrome, "username", USERNAME)
        _type(chrome, "password", running.password)
        chrome.find_element(By.CSS_SELECTOR, "[type=submit]").click()
        jobs = f"{admin}worker/linkingjob/"

        chrome.get(f"{jobs}upload/")
        chrome.find_element(By.NAME, "file").send_keys(str(MAPPING_FILE))
        _type(chrome, "program_uuid", PROGRAM_NAME)
        _click(chrome, "Dry run")
        _wait_until_done(chrome)
        _save(chrome, "page-preview", below="section.card")
        preview = chrome.current_url
        chrome.find_element(By.PARTIAL_LINK_TEXT, "would change hands").click()
        _save(chrome, "page-hands", below="#learners tbody tr:nth-child(6)")
        chrome.get(preview)

        _click(chrome, "Run it")
        _click(chrome, "Yes, run it")
        _wait_until_done(chrome)
        job = chrome.current_url
        _save(chrome, "page-job", below="#learners tbody tr:nth-child(6)")

        for button, yes in (("Retry failed", "Yes, retry failed"), ("Dry run of undo", "Yes, dry run of undo")):
            chrome.get(job)
            _click(chrome, button)
            _click(chrome, yes)
            _wait_until_done(chrome)
        chrome.get(job)
        _click(chrome, "Dry run")
        _click(chrome, "Yes, dry run")
        chrome.get(jobs)
        _save(chrome, "page-jobs", below="#changelist-form")


def _type(chrome: "Chrome", field: str, text: str) -> None:
    chrome.find_element(By.NAME, field).send_keys(text)


def _click(chrome: "Chrome", label: str) -> None:
    named = f"[normalize-space()='{label}']"
    chrome.find_element(By.XPATH, f"//a{named} | //button{named}").click()


def _wait_until_done(chrome: "Chrome") -> None:
    WebDriverWait(chrome, JOB_TIMEOUT).until(lambda page: page.find_elements(By.CSS_SELECTOR, "#progress .state-done"))


def _save(chrome: "Chrome", name: str, below: str) -> None:
    """Save a screenshot of the page from its top to the end of the element ``below``."""
    bottom = chrome.execute_script(
        "return document.querySelector(arguments[0]).getBoundingClientRect().bottom + scrollY", below
    )
    page = {"x": 0, "y": 0, "width": WIDTH, "height": round(bottom) + 20, "scale": 1}
    image = chrome.execute_cdp_cmd("Page.captureScreenshot", {"clip": page, "captureBeyondViewport": True})
    (IMAGES / f"{name}.png").write_bytes(b64decode(image["data"]))


if __name__ == "__main__":
    main()
