"""Events reach a receiver in a worker that is killed, hangs, raises and is slow.

``EVENT_KILL_ROUNDS=50`` kills that often; without it 4 times.
"""

import os
import random
import signal
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from django.test import override_settings

from devservers import WorkerProcess
from linking.events import Event
from tests.support.ids import ALGEBRA
from tests.support.rows import add_course_run, enroll, make_course, make_user
from tests.support.runs import link_by_engine
from tests.support.service import Service, result_of
from tests.support.waiting import wait_until

ROUNDS = int(os.environ.get("EVENT_KILL_ROUNDS", "4"))
LEARNERS = 40


def rotated(turn: int) -> dict[str, str]:
    """Return a mapping to users who are free, and who were linked to other enrollments two turns ago."""
    return {f"s-{n}": f"u-{turn % 2}-{(n + turn) % LEARNERS}" for n in range(LEARNERS)}


def recorded() -> list[tuple[str, int, int | None]]:
    """Return the id, user and program enrollment of each undelivered event, in order."""
    events = Event.objects.order_by("pk")
    return [(str(event.uuid), event.user_id, event.program_enrollment_id) for event in events]


def test_every_event_is_delivered_in_order_and_again_only_under_its_id(
    start_worker: Callable[..., WorkerProcess],
    isolated_env: dict[str, str],
    isolated_service: Service,
    tmp_path: Path,
) -> None:
    make_course(ALGEBRA, {"audit": None})
    for n in range(LEARNERS):
        make_user(f"u-0-{n}")
        make_user(f"u-1-{n}")
        add_course_run(enroll(f"s-{n}"), ALGEBRA, roles=("staff",))
    with override_settings(LINKING_EVENTS=True):
        for turn in range(5):
            assert link_by_engine(rotated(turn)) == {}
    expected = recorded()
    assert len(expected) == LEARNERS * (2 + 4 * 2)
    file = tmp_path / "events"
    file.touch()
    env = isolated_env | {
        "LINKING_EVENT_RECEIVERS": "tests.support.event_receiver.note",
        "EVENTS_FILE": str(file),
        "EVENTS_RAISE": "0.1",
        "EVENTS_HANG": "0.002",
    }
    start_worker(env, options=["-I", "tests.support.event_receiver", "-Q", "linking.events"])

    def lines() -> list[list[str]]:
        return [line.split() for line in file.read_text().splitlines()]

    deadline = time.monotonic() + 60 + 10 * ROUNDS
    kills, killed_at = 0, 0
    while Event.objects.exists():
        assert time.monotonic() < deadline, f"{Event.objects.count()} events are left after {len(lines())} calls"
        isolated_service.send("linking.deliver_events", queue="linking.events", expires=1)
        time.sleep(random.uniform(0.05, 0.3))  # noqa: S311 - no secret
        seen = lines()
        if kills < ROUNDS and len(seen) > killed_at:
            with suppress(ProcessLookupError):
                os.kill(int(seen[-1][1]), signal.SIGKILL)
                kills += 1
            killed_at = len(seen)
    delivered = [uuid for uuid, _ in lines()]
    print(f"{len(delivered)} calls for {len(expected)} events, {kills} kills")  # noqa: T201 - shown with -s

    assert kills == ROUNDS or len(expected) == len(set(delivered))
    assert set(delivered) == {uuid for uuid, *_ in expected}
    first = {uuid: place for place, uuid in reversed([*enumerate(delivered)])}
    in_order: dict[tuple[str, int], list[int]] = defaultdict(list)
    for uuid, user, enrollment in expected:
        in_order["user", user].append(first[uuid])
        in_order["enrollment", enrollment or 0].append(first[uuid])
    assert all(places == sorted(places) for places in in_order.values())


def test_the_events_of_a_job_are_delivered_soon_after_it_without_beat(
    start_worker: Callable[..., WorkerProcess], isolated_env: dict[str, str], isolated_service: Service, tmp_path: Path
) -> None:
    make_course()
    make_user("ada")
    add_course_run(enroll("s-1"))
    file = tmp_path / "events"
    file.touch()
    env = isolated_env | {"LINKING_EVENT_RECEIVERS": "tests.support.event_receiver.note", "EVENTS_FILE": str(file)}
    start_worker(env, options=["-I", "tests.support.event_receiver"])

    assert result_of(isolated_service.link({"s-1": "ada"})) == {}

    wait_until(lambda: len(file.read_text().splitlines()) == 1, "the event is delivered")
    wait_until(lambda: not Event.objects.exists(), "the event is removed")
