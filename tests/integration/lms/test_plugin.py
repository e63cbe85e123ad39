"""The plug-in inside of an LMS, with receivers that fail, events that come again, and users and rows that are gone."""

import json
import os
import tomllib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User

from devservers import RedisServer
from devservers.application import ROOT
from linking.engine.lms_tables import COURSE_ENROLLMENT
from linking.models import CourseEnrollment
from tests.support.broker import Broker, arguments
from tests.support.ids import ALGEBRA
from tests.support.lms.history import history
from tests.support.lms.process import LmsProcess
from tests.support.packages import require
from tests.support.rows import enroll, enroll_in_course, make_course, make_user

pytestmark = [
    pytest.mark.skipif("not config.getoption('lms')", reason="a database of an LMS: --lms"),
    pytest.mark.django_db(transaction=True),
]
PLUGIN = "tests.support.recording_lms.plugin"
ACTIVE, INACTIVE = {"is_active": True, "mode": "masters"}, {"is_active": False, "mode": "audit"}
FILTER = "org.openedx.learning.course.enrollment.started.v1"


@pytest.fixture(scope="module")
def process(
    database_url: str, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LmsProcess]:
    """An LMS that finds the plug-in by its entry point."""
    require("openedx_events", "lms.txt")
    path = tmp_path_factory.mktemp("installed")
    write_metadata(path)
    with LmsProcess(database_url, PLUGIN, {"PYTHONPATH": str(path), "CELERY_BROKER_URL": redis_server.url}) as process:
        yield process


def write_metadata(folder: Path) -> None:
    """Write the metadata that an installation of the plug-in has."""
    project = tomllib.loads((ROOT / "lms" / "pyproject.toml").read_text())["project"]
    metadata = folder / f"program_linking_lms-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    ((group, names),) = project["entry-points"].items()
    (metadata / "entry_points.txt").write_text(f"[{group}]\n" + "\n".join(map(" = ".join, names.items())))


@pytest.fixture
def row() -> CourseEnrollment:
    make_course()
    return enroll_in_course(make_user("ada"))


@pytest.fixture
def lms(process: LmsProcess, row: CourseEnrollment) -> Iterator[LmsProcess]:
    assert row.pk
    process.call("begin")
    process.call("log")
    yield process
    process.call("mend")


def event(row: CourseEnrollment, kind: str = "created", **values: Any) -> dict[str, Any]:
    """Return an event about a course enrollment, as the worker sends it."""
    return {
        "id": str(uuid4()),
        "kind": kind,
        "path": "enroll" if kind == "created" else "update",
        "recorded": "2026-03-01T02:00:07.512034+00:00",
        "user_id": row.user_id,
        "program_enrollment_id": 1,
        "course_key": str(ALGEBRA),
        "course_enrollment_id": row.pk,
        "before": None if kind == "created" else ACTIVE,
        "after": ACTIVE if kind == "created" else INACTIVE,
        "skip_refund": kind != "created",
        "org": None,
        "role": None,
    } | values


def receive(lms: LmsProcess, *events: dict[str, Any]) -> str:
    return str(lms.call("receive", str(uuid4()), events))


def records(lms: LmsProcess) -> list[str]:
    """Return the kinds of what was recorded, in order; of events, their types."""
    return [details.get("type", kind) for _, kind, details in lms.call("records")]


def event_name(name: str) -> str:
    return f"org.openedx.learning.course.{name}.v1"


CREATED, CHANGED = event_name("enrollment.created"), event_name("enrollment.changed")


def test_an_event_that_comes_again_is_skipped(lms: LmsProcess, row: CourseEnrollment) -> None:
    created, ended = event(row), event(row, "deactivated")
    assert receive(lms, created) == ""
    before = records(lms)
    assert CREATED in before

    assert receive(lms, created, created) == ""
    assert records(lms) == before
    assert receive(lms, created, ended) == ""
    assert records(lms)[len(before) :].count(CHANGED) == 1
    assert lms.call("processed") == 2
    assert lms.call("purge", 89) == 2
    assert lms.call("purge", 91) == 0


def test_two_connections_that_have_the_same_event_do_it_once(lms: LmsProcess, row: CourseEnrollment) -> None:
    events = [event(row, "deactivated" if n % 2 else "created") for n in range(20)]

    assert lms.call("receive_twice", str(uuid4()), events) == ["", ""]

    assert records(lms).count(CHANGED) == 20
    assert lms.call("processed") == 20


@pytest.mark.parametrize("how", ["bug", "statement"])
@pytest.mark.parametrize("signal", ["post_save", "COURSE_ENROLLMENT_CHANGED", "ENROLL_STATUS_CHANGE"])
def test_a_receiver_that_raises_keeps_no_other_from_being_called(
    lms: LmsProcess, row: CourseEnrollment, signal: str, how: str
) -> None:
    assert receive(lms, event(row)) == ""
    expected = records(lms)
    lms.call("begin")
    lms.call("fail", signal, how)

    assert receive(lms, event(row)) == ""

    found = records(lms)
    assert lms.call("processed") == 1
    (logged, *_) = lms.call("log")
    assert "raised " in logged
    assert "learner" not in logged
    if how == "bug":
        assert found == expected
    else:  # MySQL undoes one statement; Django, all that the receivers of this signal have written.
        assert set(found) >= set(expected) - {signal, CHANGED, "celebration", "schedule", "forum role"}
        assert found[-1] == CREATED


def test_an_event_whose_receiver_meets_a_lock_is_tried_again_as_a_whole(lms: LmsProcess, row: CourseEnrollment) -> None:
    first, second = event(row), event(row, "deactivated")
    lms.call("fail", "UNENROLL_DONE", "lock")

    assert receive(lms, first, second).startswith("OperationalError")
    assert lms.call("processed") == 1
    assert event_name("unenrollment.completed") not in records(lms)
    before = records(lms)

    lms.call("mend")
    assert receive(lms, first, second) == ""
    after = records(lms)
    assert after[: len(before)] == before
    assert after.count(CREATED) == after.count(event_name("unenrollment.completed")) == 1


def test_nothing_is_saved_and_no_history_is_written(lms: LmsProcess, row: CourseEnrollment) -> None:
    assert receive(lms, event(row), event(row, "deactivated")) == ""

    assert records(lms).count("post_save") == 3
    assert history(COURSE_ENROLLMENT) == []
    row.refresh_from_db()
    assert (row.is_active, row.mode) == (True, "masters")


def test_a_row_that_is_gone_is_announced_without_post_save(lms: LmsProcess, row: CourseEnrollment) -> None:
    CourseEnrollment.objects.all().delete()

    ended = event(row, "deactivated", after=ACTIVE | {"is_active": False})
    assert receive(lms, event(row), ended) == ""

    found = records(lms)
    assert "post_save" not in found
    assert [found.count(name) for name in (CHANGED, CREATED, "UNENROLL_DONE", "tracking")] == [2, 1, 1, 3]
    keys = {details["key"] for _, kind, details in lms.call("records") if kind == "cache delete"}
    assert keys == {"enrollment_status_hash_ada", f"enrollment.{row.user_id}.{ALGEBRA}.mode"}


def test_a_user_without_profile_has_no_name(lms: LmsProcess, row: CourseEnrollment) -> None:
    lms.call("remove_profile", row.user_id)

    assert receive(lms, event(row)) == ""

    names = [details["data"]["user"]["pii"]["name"] for _, kind, details in lms.call("records") if kind == "event"]
    assert names == ["", ""]


def test_of_a_retired_user_only_the_cache_keys_are_deleted(lms: LmsProcess, row: CourseEnrollment) -> None:
    User.objects.update(username="retired__user_4711")

    assert receive(lms, event(row), event(row, "role_granted", path="role", org="Org", role="staff")) == ""

    assert set(records(lms)) == {"cache delete"}
    assert lms.call("processed") == 2


def test_a_user_that_is_gone_is_announced_to_nobody(lms: LmsProcess, row: CourseEnrollment) -> None:
    CourseEnrollment.objects.all().delete()
    User.objects.all().delete()

    assert receive(lms, event(row)) == ""

    assert records(lms) == []
    assert lms.call("processed") == 1


def test_an_event_of_a_later_release_fails_with_the_remedy(lms: LmsProcess, row: CourseEnrollment) -> None:
    later = event(row, "suspended")

    assert receive(lms, later) == (
        f"ValueError: event {later['id']}: kind='suspended' with path='update' is not known:"
        " install the release of program-linking-lms that belongs to the worker's"
    )
    assert "'skip_refund' is missing" in receive(lms, {k: v for k, v in event(row).items() if k != "skip_refund"})
    assert lms.call("processed") == 0


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, []),
        ({FILTER: {"pipeline": [], "fail_silently": False}}, []),
        ({FILTER: {"pipeline": ["shop.Refuse"]}}, ["program_linking.W001"]),
        ({FILTER: ["shop.Refuse"]}, ["program_linking.W001"]),
        ({FILTER: "shop.Refuse"}, ["program_linking.W001"]),
    ],
)
def test_a_filter_that_cannot_be_asked_is_found_by_the_check(
    lms: LmsProcess, filters: dict[str, Any], found: list[str]
) -> None:
    assert [text.split()[0] for text in lms.call("check", filters)] == found


def test_roles_that_openedx_authz_keeps_are_found_by_the_check(lms: LmsProcess) -> None:
    lms.call("keep_roles", [str(ALGEBRA)])
    (some,) = lms.call("check", {})
    lms.call("keep_roles", ["*"])
    (every,) = lms.call("check", {})
    lms.call("keep_roles", [])

    assert some.startswith(f"program_linking.W002 openedx-authz keeps the roles of {ALGEBRA} (flag authz.enable_")
    assert every.startswith("program_linking.W002 openedx-authz keeps the roles of all courses")
    assert lms.call("check", {}) == []


def test_a_role_that_openedx_authz_keeps_is_announced_and_logged(lms: LmsProcess, row: CourseEnrollment) -> None:
    role: dict[str, Any] = {"path": "role", "org": "Org", "role": "staff", "before": None, "after": None}
    lms.call("keep_roles", [str(ALGEBRA)])

    assert receive(lms, event(row, "role_granted", **role)) == ""
    lms.call("keep_roles", [])

    assert records(lms) == ["org.openedx.learning.user.course_access_role.added.v1"]
    (logged,) = lms.call("log")
    assert f"openedx-authz keeps the roles of {ALGEBRA}" in logged


def test_the_lms_finds_the_plug_in_and_its_settings(process: LmsProcess) -> None:
    applications, settings = process.call("found")

    assert "program_linking_lms.apps.ProgramLinkingConfig" in applications
    assert settings == {"PROGRAM_LINKING_QUEUE": "own", "PROGRAM_LINKING_KEEP_DAYS": 90}


def test_a_retired_user_and_its_keys_are_forgotten_by_the_worker(lms: LmsProcess, row: CourseEnrollment) -> None:
    enroll("s-1", row.user)
    enroll("s-2")

    with closing(Broker(os.environ["CELERY_BROKER_URL"])) as broker:
        lms.call("retire", "ada")
        (message,) = broker.queued("linking")

    assert message["headers"]["task"] == "linking.forget_learner"
    assert arguments(message) == ["ada", "s-1"]
    assert "ada" not in json.dumps(message["headers"])
