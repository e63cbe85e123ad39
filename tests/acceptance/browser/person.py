"""Somebody at a browser who does what people do: reads, clicks, types."""

import secrets
from pathlib import Path

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.acceptance.broker import wait_until
from worker.models import LinkingJob

MAIN = "#content-main"


class Person:
    """A member of the staff with some permissions, logged in.

    Args:
        chrome: the browser.
        address: of the admin.
        permissions: their code names.
    """

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

    def leave(self) -> None:
        """Close what is open; see that the browser had nothing to complain about, such as the content policy."""
        log = self._chrome.get_log("browser")  # type: ignore[no-untyped-call]
        self._chrome.get("about:blank")
        self._chrome.delete_all_cookies()
        complaints = [entry["message"] for entry in log if entry["level"] == "SEVERE"]
        complaints = [text for text in complaints if "favicon.ico" not in text]
        assert not complaints, complaints

    # --- Reading ------------------------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """What the page says."""
        try:
            return str(self._one("body").text)
        except (NoSuchElementException, StaleElementReferenceException):  # The page is being replaced.
            return ""

    @property
    def buttons(self) -> set[str]:
        """What the page offers to do."""
        return {element.text for element in self._chrome.find_elements(By.CSS_SELECTOR, f"{MAIN} .buttons .button")}

    @property
    def address(self) -> str:
        """Where the page is."""
        return str(self._chrome.current_url)

    def sees(self, *texts: str) -> None:
        """Wait until the page says all these texts."""
        wait_until(lambda: all(text in self.text for text in texts), f"the page says {texts}; it says: {self.text}")

    def picture(self) -> str:
        """Return what the picture of the outcomes says to those who cannot see it."""
        return self._one(f"{MAIN} svg.bar:last-of-type").get_attribute("aria-label") or ""

    def rows(self) -> list[list[str]]:
        """Return the table of the page."""
        rows = self._chrome.find_elements(By.CSS_SELECTOR, f"{MAIN} tbody tr")
        return [[cell.text for cell in row.find_elements(By.TAG_NAME, "td")] for row in rows]

    # --- Doing --------------------------------------------------------------------------------------------------------

    def opens_jobs(self) -> None:
        """Go to the list of jobs."""
        self._chrome.get(self._jobs)

    def opens(self, job: LinkingJob) -> None:
        """Go to the page of a job."""
        self._chrome.get(f"{self._jobs}{job.pk}/change/")

    def type(self, field: str, text: str) -> None:
        """Type into a field."""
        element = self._one(f"[name={field}]")
        element.clear()
        element.send_keys(text)

    def clicks(self, label: str) -> None:
        """Click a link or a button."""
        self._chrome.find_element(
            By.XPATH, f"//a[normalize-space()='{label}'] | //button[normalize-space()='{label}']"
        ).click()

    def uploads(self, file: Path, program: str) -> None:
        """Upload a mapping."""
        self.opens_jobs()
        self.clicks("Upload a mapping")
        self._one("[name=file]").send_keys(str(file))
        self.type("program_uuid", program)
        self.clicks("Preview")

    def _one(self, selector: str) -> WebElement:
        return self._chrome.find_element(By.CSS_SELECTOR, selector)
