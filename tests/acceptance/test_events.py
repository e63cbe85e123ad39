"""Events with real workers: the receiver and the consumer of the contract page, and settings that cannot be right."""

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from jsonschema import Draft202012Validator

from devservers import WorkerProcess
from linking.events import Event, EventBatch, EventFailure
from tests.support.bare_service import BareService
from tests.support.broker import Broker, named_arguments
from tests.support.ids import ALGEBRA
from tests.support.pages import program
from tests.support.programs import manage
from tests.support.rows import add_course_run, enroll, make_course, make_user
from tests.support.secrecy import SECRET, assert_silent
from tests.support.service import Service, result_of
from tests.support.waiting import wait_until
from tests.unit.test_events_schema import SCHEMA

TASK = {"LINKING_EVENTS_TASK": "enrollment.receive_events", "LINKING_EVENTS_QUEUE": "enrollment"}


@pytest.fixture
def mapping() -> dict[str, str]:
    """Learners with a course run and a role each."""
    make_course(ALGEBRA)
    for n in range(3):
        make_user(f"{SECRET}-u-{n}")
        add_course_run(enroll(f"{SECRET}-s-{n}"), ALGEBRA, roles=("staff",))
    return {f"{SECRET}-s-{n}": f"{SECRET}-u-{n}" for n in range(3)}


@pytest.fixture
def consumer(tmp_path: Path, isolated_env: dict[str, str]) -> BareService:
    """The consumer of the page, without our code."""
    consumer = BareService(tmp_path, isolated_env["CELERY_BROKER_URL"])
    (tmp_path / "events_consumer.py").write_text(program("contract.md", "events_consumer.py"))
    return consumer


def processed(consumer: BareService) -> int:
    path = consumer.folder / "events.sqlite3"
    if not path.exists():
        return 0
    with sqlite3.connect(path) as database:
        found: int = database.execute("SELECT count(*) FROM processed").fetchone()[0]
    database.close()
    return found


def start(consumer: BareService) -> None:
    options = ("-A", "events_consumer", "worker", "-Q", "enrollment", "--concurrency", "2", "--loglevel", "ERROR")
    consumer.start("-m", "celery", *options)


def test_the_consumer_of_the_page_receives_every_event_and_acknowledges_it_by_its_end(
    start_worker: Callable[..., WorkerProcess],
    isolated_env: dict[str, str],
    isolated_service: Service,
    consumer: BareService,
    mapping: dict[str, str],
) -> None:
    worker = start_worker(isolated_env | TASK)
    assert result_of(isolated_service.link(mapping)) == {}
    broker = Broker(isolated_env["CELERY_BROKER_URL"])
    sent: list[dict[str, Any]] = []

    def are_all_sent() -> bool:
        isolated_service.send("linking.deliver_events", queue="linking.events", expires=1)
        sent[:] = [named_arguments(message) for message in broker.queued("enrollment")]
        return sum(len(arguments["events"]) for arguments in sent) == 6

    wait_until(are_all_sent, "every event is sent", interval=0.3)
    assert all(map(Draft202012Validator(SCHEMA).is_valid, sent))
    assert_silent("a batch", f"{broker.queued('enrollment')} {sent}")
    assert Event.objects.count() == 6

    start(consumer)
    try:
        wait_until(lambda: not Event.objects.exists(), "every event is acknowledged")
    finally:
        consumer.close()
    assert processed(consumer) == 6
    assert not EventBatch.objects.exists()
    assert_silent("the worker's log", worker.log.read_text())
    broker.close()


def test_an_event_on_which_the_consumer_fails_holds_back_its_user_only(
    start_worker: Callable[..., WorkerProcess],
    isolated_env: dict[str, str],
    isolated_service: Service,
    consumer: BareService,
    mapping: dict[str, str],
) -> None:
    poison = User.objects.get(username=mapping[f"{SECRET}-s-1"]).pk
    source = program("contract.md", "events_consumer.py")
    source = source.replace("    print(", f'    assert event["user_id"] != {poison}, "not this one"\n    print(')
    (consumer.folder / "events_consumer.py").write_text(source)
    start_worker(isolated_env | TASK)
    start(consumer)
    try:
        assert result_of(isolated_service.link(mapping)) == {}
        wait_until(EventFailure.objects.exists, "the batch is refused")

        def is_narrowed() -> bool:
            EventFailure.objects.update(due=timezone.now())
            isolated_service.send("linking.deliver_events", queue="linking.events", expires=1)
            return Event.objects.count() == 2

        wait_until(is_narrowed, "the others are delivered", interval=0.5)
    finally:
        consumer.close()
    assert set(Event.objects.values_list("user_id", flat=True)) == {poison}
    assert processed(consumer) == 4
    failure = EventFailure.objects.get(event=Event.objects.order_by("pk")[0])
    assert failure.error.startswith("the task enrollment.receive_events failed")
    assert_silent("the failure", failure.error)


def test_the_receiver_of_the_page_is_called_by_a_worker_that_imports_it(
    start_worker: Callable[..., WorkerProcess],
    isolated_env: dict[str, str],
    isolated_service: Service,
    tmp_path: Path,
    mapping: dict[str, str],
) -> None:
    (tmp_path / "receivers.py").write_text(program("contract.md", "receivers.py"))
    worker = start_worker(isolated_env | {"LINKING_EVENT_RECEIVERS": "receivers.notify", "PYTHONPATH": str(tmp_path)})
    assert result_of(isolated_service.link(mapping)) == {}

    wait_until(lambda: not Event.objects.exists(), "every event is delivered")
    for kind, number in (("created", 3), ("role_granted", 3)):
        assert len(re.findall(rf"[0-9a-f-]{{36}} {kind} \d+ course-v1:", worker.log.read_text())) == number


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"LINKING_EVENT_RECEIVERS": "nowhere.notify"}, "LINKING_EVENT_RECEIVERS has 'nowhere.notify'"),
        ({"LINKING_EVENT_RECEIVERS": "linking.events.__name__"}, "which is no function"),
        ({"LINKING_EVENTS": "1"}, "LINKING_EVENT_RECEIVERS or LINKING_EVENTS_TASK to name a receiver"),
        ({"LINKING_EVENTS_TASK": "a.b"}, "LINKING_EVENTS_QUEUE=''"),
    ],
)
def test_a_setting_that_cannot_be_right_stops_the_process(variables: dict[str, str], expected: str) -> None:
    done = manage("check", env={"SECRET_KEY": "only-for-tests", **variables})

    assert done.returncode == 1
    assert expected in done.stderr
    assert "ImproperlyConfigured" in done.stderr
