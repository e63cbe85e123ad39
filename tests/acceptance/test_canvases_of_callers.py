"""Our task as a part of chords, groups and chains of real services, on a result backend of their own and on ours."""

import json
from collections import Counter
from collections.abc import Callable

import pytest

from devservers import FlowerServer, WorkerProcess
from tests.support.bare_service import BareService
from tests.support.canvas_service import CanvasService
from tests.support.ids import PROGRAM
from tests.support.populations import add_learners
from tests.support.secrecy import assert_silent, captured_events, learners
from tests.support.service import failure_of, open_chords, result_of
from tests.support.waiting import wait_until
from worker.models import LinkingJob

REFUSAL = "the request is part of a chord whose results are counted elsewhere"
NOBODY = {"s-9": "nobody"}
ERRORS = {"s-9": "No user found with username nobody"}

RECEIVED, FAILED = 12, 2
"""Calls of the service's tasks by the canvases of the last test: with results or fixed arguments, and by failures."""
StartService = Callable[[str], CanvasService]


@pytest.fixture
def start_service(bare_service: BareService, database_url: str, celery_worker_process: WorkerProcess) -> StartService:
    """Start a service beside our worker: ``start_service(backend)``."""
    assert celery_worker_process.is_running
    return lambda backend: CanvasService(bare_service, backend, database_url)


@pytest.fixture
def other(start_service: StartService, redis_url: str) -> CanvasService:
    """A service whose results are in a Redis database of its own."""
    return start_service(redis_url.removesuffix("/0") + "/3")


@pytest.fixture
def same(start_service: StartService) -> CanvasService:
    """A service whose results are in our database."""
    return start_service("django-db")


def test_a_part_of_a_chord_on_another_backend_is_refused_and_the_chord_fails(
    other: CanvasService,
) -> None:
    mapping = add_learners(1)

    chord = other.send("chord", str(PROGRAM), mapping)
    mixed = other.send("mixed chord", str(PROGRAM), mapping)

    for body, _, *parts in (chord, mixed):
        other.wait_for_call("failed", body)
        assert failure_of(body)[0] == "ChordError"
        for part in parts[: 2 if body == chord[0] else 1]:
            kind, text = failure_of(part)
            assert (kind, text[: len(REFUSAL)]) == ("ValueError", REFUSAL)
    assert not LinkingJob.objects.exists()
    assert not [call for call in other.calls() if "body" in call]


def test_a_chain_in_a_chord_on_another_backend_works_and_the_chord_hears_of_a_failure(other: CanvasService) -> None:
    mapping = add_learners(1) | NOBODY

    other.send("chord of chains", str(PROGRAM), mapping)
    failing, *_ = other.send("failing chord of chains", str(PROGRAM), mapping)

    other.wait_for_call("received", ERRORS, "after")
    other.wait_for_call("received", [2, 1], "body")
    other.wait_for_call("failed", failing)


def test_parts_of_a_group_on_another_backend_are_jobs_with_callbacks(other: CanvasService) -> None:
    _, first, second = other.send("group", str(PROGRAM), add_learners(1) | NOBODY)

    other.wait_for_call("received", ERRORS, "after")
    other.wait_for_call("received", {}, "last")
    assert (result_of(first), result_of(second)) == (ERRORS, {})


def test_a_chain_has_the_root_of_its_first_task_and_a_failure_ends_it(other: CanvasService) -> None:
    last, ours, first = other.send("chain", str(PROGRAM), add_learners(1) | NOBODY)
    never, failing, _ = other.send("failing chain", str(PROGRAM), {})

    _, *link = other.wait_for_call("received", ERRORS, "after")
    assert other.wait_for_call("received", ERRORS, "last") == [last, *link]
    assert link == [first, ours]
    assert result_of(ours) == ERRORS
    _, *errback = other.wait_for_call("failed", failing)
    assert errback[1] == failing
    assert failure_of(never)[0] == failure_of(failing)[0] == "ValueError"
    assert len([call for call in other.calls() if "last" in call]) == 1


def test_chords_on_our_backend_work(same: CanvasService) -> None:
    mapping = add_learners(1) | NOBODY

    same.send("mixed chord", str(PROGRAM), mapping)
    same.wait_for_call("received", [ERRORS, 1], "body")
    same.send("chord of chains", str(PROGRAM), {})
    same.wait_for_call("received", [2, 1], "body")
    failing, *_ = same.send("failing chord", str(PROGRAM), mapping)
    same.wait_for_call("failed", failing)

    assert open_chords() == 0


def test_a_service_that_sends_events_shows_no_learner_in_flower(
    same: CanvasService, flower: FlowerServer, worker_env: dict[str, str]
) -> None:
    mapping = learners()

    def known() -> Counter[str]:
        tasks = json.loads(flower.get("/api/tasks")).values()
        return Counter(task["name"] for task in tasks if task["state"] == "SUCCESS")

    before = known()  # Flower is shared by all tests.
    with captured_events(worker_env["CELERY_BROKER_URL"]) as events:
        for canvas in ("group", "chain", "failing chain", "mixed chord", "chord of chains", "failing chord"):
            same.send(canvas, str(PROGRAM), mapping)
        wait_until(lambda: len(same.calls()) == RECEIVED + FAILED, "the service's tasks are called", timeout=30)

        wanted = Counter({"service.receive": RECEIVED, "service.fail": FAILED})
        wait_until(lambda: wanted <= known() - before, "Flower knows them", timeout=30)

    tasks = json.loads(flower.get("/api/tasks"))
    assert_silent("Flower at /api/tasks", json.dumps(tasks))
    assert_silent("an event", json.dumps(events))
