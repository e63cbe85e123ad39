"""Delivery of events in batches to the task: acknowledged, refused, lost."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from linking import events
from linking.events import Event, EventBatch
from linking.outbox import batches, failures
from tests.support.event_delivery import Receiver, connected, wait, write_events

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    with connected(receiver.receive):
        yield receiver


class Task:
    """Takes batches as a broker does."""

    def __init__(self) -> None:
        self.batches: list[tuple[UUID, list[Any]]] = []
        self.is_away = False

    def __call__(self, batch: UUID, sent: list[dict[str, Any]]) -> None:
        if self.is_away:
            msg = "no broker"
            raise OSError(msg)
        self.batches.append((batch, [event["user_id"] for event in sent]))


def test_a_batch_is_removed_when_it_is_acknowledged_and_holds_back_its_users_until_then() -> None:
    task = Task()
    write_events(1, 2, 1)
    events.deliver(task)
    write_events(2, 3)
    events.deliver(task)

    (first, users), (second, others) = task.batches
    assert (users, others) == ([1, 2, 1], [3])
    assert Event.objects.count() == 5
    assert events.acknowledge(first) == 3
    assert events.acknowledge(first) == 0
    events.deliver(task)
    assert task.batches[2][1] == [2]
    assert events.acknowledge(second) == 1
    assert events.acknowledge(task.batches[2][0]) == 1
    assert not Event.objects.exists()
    assert not EventBatch.objects.exists()


def test_so_many_events_are_on_their_way() -> None:
    task = Task()
    write_events(*range(batches.ON_THE_WAY + 1))

    events.deliver(task)

    assert [len(users) for _, users in task.batches] == [batches.SIZE] * (batches.ON_THE_WAY // batches.SIZE)
    events.acknowledge(task.batches[0][0])
    events.deliver(task)
    assert len(task.batches[-1][1]) == 1


def test_a_refused_batch_is_narrowed_to_the_event_at_fault() -> None:
    task = Task()
    write_events(1, 2, 3)
    events.deliver(task)
    for _ in range(failures.ATTEMPTS):
        for batch, users in task.batches:
            if 2 in users:
                events.refuse(batch, "the task failed")
            else:
                events.acknowledge(batch)
        task.batches.clear()
        wait()
        events.deliver(task)

    (failure,) = events.given_up()
    assert failure.event.user_id == 2
    assert Event.objects.count() == 1


def test_receivers_are_not_called_again_for_an_event_that_the_task_refused(receiver: Receiver) -> None:
    task = Task()
    (event,) = write_events(1)
    events.deliver(task)
    events.refuse(task.batches[0][0], "the task failed")
    wait()
    events.deliver(task)

    assert receiver.called == [event.pk]
    assert len(task.batches) == 2


def test_a_batch_that_is_lost_is_sent_again_under_the_same_id_later_each_time() -> None:
    task = Task()
    task.is_away = True
    write_events(1)
    events.deliver(task)
    batch = EventBatch.objects.get()
    assert events.deliver(task) is None  # The pause after a broker that was away.
    task.is_away = False
    waits = []
    for _ in range(6):
        wait()
        EventBatch.objects.update(due=timezone.now())
        events.deliver(task)
        waits.append(round((EventBatch.objects.get().due - timezone.now()).total_seconds(), -1))

    assert task.batches == [(batch.pk, [1])] * 6
    assert waits == [300, 600, 1200, 2400, 3600, 3600]
    assert events.acknowledge(batch.pk) == 1
