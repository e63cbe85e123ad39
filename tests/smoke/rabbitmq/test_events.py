"""Events to a task of another service, on RabbitMQ."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from django.utils import timezone

from linking.events import Event, EventBatch, EventFailure
from tests.smoke.rabbitmq.caller import QuorumCaller
from tests.smoke.rabbitmq.conftest import StartWorker
from tests.support.bare_service import BareService
from tests.support.pages import program
from tests.support.populations import add_learners_with_roles
from tests.support.service import result_of
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

TASK = {"LINKING_EVENTS_TASK": "enrollment.receive_events", "LINKING_EVENTS_QUEUE": "enrollment"}
LEARNERS = 60
EVENTS = 2 * LEARNERS
"""More than a batch has."""
OWN_QUEUE = """
from kombu import Exchange, Queue
app.conf.task_queues = [Queue("enrollment", Exchange("enrollment"), "enrollment", max_priority=5)]
"""


@pytest.fixture
def mapping() -> dict[str, str]:
    """Learners with a course run and a role each."""
    return add_learners_with_roles(LEARNERS)


@pytest.fixture
def consumer(tmp_path: Path, env: dict[str, str]) -> Iterator[BareService]:
    """The consumer of the page, without our code."""
    with closing(BareService(tmp_path, env["CELERY_BROKER_URL"])) as service:
        (tmp_path / "events_consumer.py").write_text(program("contract.md", "events_consumer.py"))
        yield service


def start_consumer(consumer: BareService) -> None:
    consumer.start("-m", "celery", "-A", "events_consumer", "worker", "-Q", "enrollment", "--concurrency", "2")


def wait_for_acknowledgements(caller: QuorumCaller) -> None:
    def are_all_there() -> bool:
        EventBatch.objects.filter(sent=0).update(due=timezone.now())
        caller.send("linking.deliver_events", routing_key="linking.events", expires=1)  # As beat does.
        return not Event.objects.exists()

    wait_until(are_all_there, "every event is acknowledged", interval=0.5)


def processed(consumer: BareService) -> int:
    with closing(sqlite3.connect(consumer.folder / "events.sqlite3")) as database:
        return int(database.execute("SELECT count(*) FROM processed").fetchone()[0])


def test_the_consumer_of_the_page_acknowledges_every_event_of_several_batches(
    start: StartWorker, caller: QuorumCaller, consumer: BareService, mapping: dict[str, str]
) -> None:
    start(**TASK)
    start_consumer(consumer)
    assert result_of(caller.link(mapping)) == {}

    wait_for_acknowledgements(caller)
    assert processed(consumer) == EVENTS
    assert not EventBatch.objects.exists()
    assert not EventFailure.objects.exists()


def test_a_queue_that_the_consumer_declares_with_other_arguments_is_waited_for_and_not_declared(
    start: StartWorker, caller: QuorumCaller, consumer: BareService, mapping: dict[str, str]
) -> None:
    """The queue of an LMS, such as ``edx.lms.core.default``, is declared by the LMS as it likes."""
    worker = start(**TASK)
    assert result_of(caller.link(mapping)) == {}
    wait_until(lambda: "cannot be sent (MissingQueueError" in worker.log.read_text(), "there is no queue yet")
    module = consumer.folder / "events_consumer.py"
    module.write_text(module.read_text() + OWN_QUEUE)
    start_consumer(consumer)

    wait_for_acknowledgements(caller)
    assert processed(consumer) == EVENTS
