"""The pages for everybody: no serious finding of axe-core, and no sideways scrolling on a phone."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission
from selenium.webdriver import Chrome

from devservers import WebServer
from linking.models import ProgramEnrollment
from tests.support.accessibility import out_of_sight, serious_violations
from tests.support.browser import Person
from tests.support.jobs import run_job, submit, undo
from tests.support.populations import add_learners, add_learners_of_every_kind
from tests.support.visitors import HEADER, page
from worker import jobs
from worker.exceptions import JobRefusedError
from worker.jobs.slices import run_slice
from worker.models import LinkingJob, Pause

LIST = page("changelist")
PHONE = 390
"""Width of a phone's window in pixels."""


@pytest.fixture
def jobs_by_name(web: WebServer, redis_without_worker: str) -> dict[str, LinkingJob]:
    """Jobs of each look: done with each outcome and undone, the undo, a dry run, one that is paused, one refused."""
    assert web.is_running
    assert redis_without_worker
    made = {"done": run_job(add_learners_of_every_kind(14)), "dry": run_job(add_learners(3), dry_run=True)}
    made |= {"undo": undo(made["done"]), "running": submit(add_learners(4), learners_per_subtask=2)}
    jobs.start(made["running"])
    run_slice(made["running"].pk, 0)
    jobs.pause(Pause.Kind.EVERYTHING, paused_by="ada", reason="LMS upgrade")
    jobs.pause(Pause.Kind.JOB, made["running"].pk, paused_by="ada")
    with pytest.raises(JobRefusedError):
        submit({"s-1": "u-1"}, max_relinks=0)
    made["refused"] = LinkingJob.objects.get(state="refused")
    return made


@pytest.fixture
def everybody(web: WebServer, person: Callable[..., Person]) -> Person:
    """A user with all permissions."""
    return person(web, *Permission.objects.values_list("codename", flat=True))


@pytest.fixture
def visit(chrome: Chrome, web: WebServer) -> Iterator[Callable[..., None]]:
    """Open an address: ``visit(address, width=1280, scheme="light")``."""

    def visit(address: str, *, width: int = 1280, scheme: str = "light") -> None:
        screen = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width == PHONE}
        chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        chrome.get(web.url + address)

    yield visit
    chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_axe_core_finds_nothing_serious_on_any_page(
    chrome: Chrome,
    visit: Callable[..., None],
    jobs_by_name: dict[str, LinkingJob],
    everybody: Person,
    tmp_path: Path,
) -> None:
    found: dict[str, list[str]] = {}

    def check(name: str) -> None:
        assert "Program linking" in chrome.title, name
        if violations := serious_violations(chrome):
            found[name] = violations

    enrollment = ProgramEnrollment.objects.values_list("pk", flat=True)[0]
    own = {name: page("change", job) for name, job in jobs_by_name.items()}
    own |= {
        "the list": LIST,
        "the upload": page("upload"),
        "the pauses": page("pauses"),
        "learners": page("learners", jobs_by_name["done"]),
        "a confirmation": page("button", jobs_by_name["dry"], "run"),
    }
    others = {"a search": f"{LIST}?q=nothing", "home": "/admin/", "a section": "/admin/worker/"}
    tables = ("linking/programenrollment", "django_celery_results/taskresult", "auth/user", "api_tokens/apitoken")
    others |= {table: f"/admin/{table}/" for table in tables}
    others |= {"a row": f"/admin/linking/programenrollment/{enrollment}/change/", "a form": "/admin/auth/user/add/"}
    for name, address in (own | others).items():
        visit(address)
        check(name)
    for name in ("the list", "the upload", "the pauses", "running", "done", "refused", "a confirmation"):
        visit(own[name], width=PHONE, scheme="dark")
        check(f"{name}, dark, on a phone")
    (tmp_path / "faulty.csv").write_text(f"{HEADER}s-1,\n")
    everybody.uploads(tmp_path / "faulty.csv", "")
    everybody.sees("faulty.csv")
    check("an upload with faults")
    everybody.log_out()
    visit("/")
    check("the login")

    assert not found


def test_on_a_phone_state_progress_outcomes_and_messages_need_no_sideways_scrolling(
    chrome: Chrome, visit: Callable[..., None], jobs_by_name: dict[str, LinkingJob], everybody: Person
) -> None:
    def hidden(address: str, *selectors: str) -> dict[str, list[str]]:
        visit(address, width=PHONE)
        return {selector: cut for selector in selectors if (cut := out_of_sight(chrome, selector))}

    assert everybody.text
    names = ("job", "state_shown", "progress_shown", "outcomes", "learners", "took")
    assert not hidden(LIST, *(f"#result_list .field-{name}" for name in names), "#result_list .state")
    done, refused = page("change", jobs_by_name["done"]), page("change", jobs_by_name["refused"])
    assert not hidden(refused, ".job-message", ".buttons .button")
    parts = (
        ".headline .state",
        "#progress .bar",
        ".legend li",
        *(f".find tbody td:nth-child({n})" for n in range(1, 6)),
    )
    assert not hidden(done, *parts)
    assert not hidden(page("change", jobs_by_name["running"]), ".progress .bar", ".progress .share")
