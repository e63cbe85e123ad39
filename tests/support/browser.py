"""A user of the admin in a real browser: reads, clicks, types."""

import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select

from tests.support.waiting import NeverHappenedError, wait_until
from worker.models import LinkingJob

T = TypeVar("T")

MAIN = "#content-main"
ACTIONS = f"{MAIN} .buttons .button"
CHART = f"{MAIN} svg.bar:last-of-type"
ROWS = f"{MAIN} tbody tr"


class Person:
    """A user of the admin at ``address``, logged in, with the permissions of these code names."""

    def __init__(self, chrome: Chrome, address: str, *permissions: str) -> None:
        self._chrome = chrome
        self._jobs = f"{address}worker/linkingjob/"
        password = secrets.token_urlsafe()
        user = get_user_model().objects.create_user(f"staff-{secrets.token_hex(4)}", password=password, is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        chrome.get(address)
        self.type("username", user.username)
        self.type("password", password)
        self._one("[type=submit]").click()
        self.sees("Jobs and tables")

    def log_out(self) -> None:
        """Log out; assert that the browser logged no error, such as a violation of the content security policy."""
        log = self._chrome.get_log("browser")  # type: ignore[no-untyped-call]
        self._chrome.get("about:blank")
        self._chrome.delete_all_cookies()
        errors = [entry["message"] for entry in log if entry["level"] == "SEVERE"]
        assert not [text for text in errors if "favicon.ico" not in text]

    # --- Reading ------------------------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        return str(self._read("return document.body.innerText"))

    @property
    def buttons(self) -> set[str]:
        """The labels of the page's actions."""
        script = "return Array.from(document.querySelectorAll(arguments[0]), button => button.innerText)"
        return set(self._read(script, ACTIONS))

    @property
    def address(self) -> str:
        return str(self._chrome.current_url)

    def sees(self, *texts: str) -> None:
        """Wait until the page has all these texts."""
        said = ""

        def says_all() -> bool:
            nonlocal said
            said = self.text
            return all(text in said for text in texts)

        try:
            wait_until(says_all, f"the page says {texts}")
        except NeverHappenedError as error:
            error.add_note(f"It says: {said}")
            raise

    def chart(self) -> str:
        """Return the text alternative of the chart of outcomes."""
        return str(self._read("return document.querySelector(arguments[0]).getAttribute('aria-label')", CHART))

    def value_of(self, field: str) -> str:
        """Return the value in a field of a form."""
        return str(self._read("return document.querySelector(arguments[0]).value", f"[name={field}]"))

    def rows(self) -> list[list[str]]:
        """Return the table of the page."""
        cells = "row => Array.from(row.querySelectorAll('td'), cell => cell.innerText.trim())"
        return list(self._read(f"return Array.from(document.querySelectorAll(arguments[0]), {cells})", ROWS))

    def _read(self, script: str, *arguments: str) -> Any:
        """Return the result of a script: two calls could read two different pages."""
        return self._retried(lambda: self._chrome.execute_script(script, *arguments))

    @staticmethod
    def _retried(call: Callable[[], T]) -> T:
        """Call until the page is complete: chromedriver fails in many ways while the next page replaces it."""
        results: list[T] = []

        def is_called() -> bool:
            with suppress(WebDriverException):
                results.append(call())
            return bool(results)

        wait_until(is_called, "the browser answers")
        return results[0]

    # --- Doing --------------------------------------------------------------------------------------------------------

    def opens_jobs(self) -> None:
        self._chrome.get(self._jobs)

    def opens(self, job: LinkingJob) -> None:
        self._chrome.get(f"{self._jobs}{job.pk}/change/")

    def type(self, field: str, text: str) -> None:
        element = self._one(f"[name={field}]")
        element.clear()
        element.send_keys(text)

    def selects(self, field: str, text: str) -> None:
        Select(self._one(f"[name={field}]")).select_by_visible_text(text)

    def chooses(self, file: Path) -> None:
        self._one("[name=file]").send_keys(str(file))

    def goes_back(self, pages: int) -> None:
        for _ in range(pages):
            self._chrome.back()

    def clicks(self, label: str) -> None:
        named = f"[normalize-space()='{label}']"
        self._one(f"//a{named} | //button{named}", By.XPATH).click()

    def uploads(self, file: Path, program: str) -> None:
        self.opens_jobs()
        self.clicks("Upload a mapping")
        self.chooses(file)
        self.type("program_uuid", program)
        self.clicks("Dry run")

    def _one(self, selector: str, by: str = By.CSS_SELECTOR) -> WebElement:
        return self._retried(lambda: self._chrome.find_element(by, selector))
