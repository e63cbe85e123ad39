"""Delivery of events in this process: order, retries, events that are given up."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import override_settings
from django.utils import timezone

from linking import events
from linking.events import Event, EventFailure
from linking.outbox import delivery, failures, lease, ready
from tests.support.event_delivery import Receiver, connected, wait, write_events
from tests.support.ids import ALGEBRA, BIOLOGY
from tests.support.rows import add_course_run, enroll, make_course, make_role, make_user
from tests.support.runs import link_by_engine
from tests.support.signals import deliver
from tests.support.stored import enrolled

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    with connected(receiver.receive):
        yield receiver


def numbers(found: list[Event]) -> list[int]:
    return [event.pk for event in found]


def test_events_are_delivered_in_order_and_removed(receiver: Receiver) -> None:
    found = write_events(*range(ready.PAGE), 1, 2)

    done = deliver()

    assert receiver.called == numbers(found)
    assert done.delivered == len(found)
    assert not done.more
    assert not Event.objects.exists()
    assert deliver().delivered == 0


def test_an_event_that_fails_holds_back_those_of_its_user_and_enrollment_only(receiver: Receiver) -> None:
    receiver.refused = {1}
    first, other = write_events(1, 2)
    second = write_events(1)
    (of_enrollment,) = write_events(3, enrollment=7)
    (blocked,) = write_events(1, enrollment=8)
    (behind,) = write_events(4, enrollment=8)

    assert deliver().delivered == 2
    assert receiver.called == numbers([first, other, of_enrollment])
    failure = EventFailure.objects.get()
    assert (failure.event_id, failure.attempts, failure.failed) == (first.pk, 1, None)
    assert failure.error.startswith("RuntimeError in event_delivery.py:")
    assert "zq7" not in failure.error

    receiver.called.clear()
    assert deliver().delivered == 0  # Its time has not come.
    assert receiver.called == []
    receiver.refused.clear()
    wait()
    assert deliver().delivered == 4
    assert receiver.called == numbers([first, *second, blocked, behind])
    assert not EventFailure.objects.exists()


def test_an_event_is_given_up_after_the_last_attempt_until_an_operator_decides(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.refused = {1}
    first, second, _ = write_events(1, 1, 2)
    pauses = []
    for _ in range(failures.ATTEMPTS):
        deliver()
        pauses.append(round((EventFailure.objects.get().due - timezone.now()).total_seconds()))
        wait()

    assert receiver.called.count(first.pk) == failures.ATTEMPTS
    assert pauses == [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]
    assert list(events.given_up()) == [EventFailure.objects.get(pk=first.pk)]
    assert f"event {first.pk} is given up after {failures.ATTEMPTS} attempts" in caplog.text
    assert "zq7" not in caplog.text
    assert deliver().delivered == 0

    receiver.called.clear()
    assert events.retry(events.given_up()) == 1
    deliver()
    assert receiver.called == [first.pk]
    EventFailure.objects.update(failed=timezone.now())
    receiver.refused.clear()
    assert events.discard(events.given_up()) == 1
    assert deliver().delivered == 1
    assert receiver.called == [first.pk, second.pk]
    assert not Event.objects.exists()


def test_a_receiver_that_always_fails_costs_few_attempts_and_pauses_delivery(receiver: Receiver) -> None:
    receiver.refused = set(range(100))
    write_events(*range(100))

    done = deliver()

    assert done.failed == len(receiver.called) == delivery.FAILURES_IN_A_ROW
    assert events.deliver(None) is None  # The pause.
    wait(failure=False)
    receiver.refused.clear()
    assert deliver().delivered == 100 - delivery.FAILURES_IN_A_ROW


def test_one_process_delivers_at_a_time(receiver: Receiver) -> None:
    write_events(1)
    held = lease.Lease.acquire()
    assert held is not None

    assert events.deliver(None) is None
    assert receiver.called == []
    held.release(delivered=True, interrupted=False)
    assert deliver().delivered == 1


def test_a_run_that_takes_too_long_stops_before_another_may_begin(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "TIME_LIMIT", -1)
    write_events(1)

    done = events.deliver(None)

    assert done == events.Delivery()
    assert receiver.called == []


def test_a_slow_receiver_leaves_the_rest_to_the_next_run(receiver: Receiver) -> None:
    found = write_events(*range(5))

    done = [events.deliver(None, seconds=0) for _ in found]

    assert [one and (one.delivered, one.more) for one in done] == [(1, True)] * 5
    assert receiver.called == numbers(found)


class Killed(BaseException):
    """Ends the process, but for the test."""


def test_an_event_that_ends_its_process_is_found_and_given_up_while_the_others_are_delivered() -> None:
    called: list[int] = []

    def kill(event: Event, **_: Any) -> None:
        called.append(event.user_id)
        if event.user_id == 3:
            raise Killed

    write_events(1, 2, 3, 4)
    with connected(kill):
        for count in range(1 + failures.ATTEMPTS):
            with pytest.raises(Killed):
                events.deliver(None)
            if count == 1:
                assert called == [1, 2, 3, 1, 2, 3]
                wait(failure=False)
                assert deliver().delivered == 1
                write_events(3, 5)
            wait()
        assert deliver().delivered == 1

    assert [called.count(user) for user in (1, 2, 3, 4, 5)] == [2, 2, 1 + failures.ATTEMPTS, 1, 1]
    (failure,) = events.given_up()
    assert (failure.event.user_id, failure.error) == (3, delivery.LOST)
    assert Event.objects.count() == 2


def test_nothing_is_recorded_by_default() -> None:
    make_user("ada")
    add_course_run(enroll("s-1"), make_course())

    link_by_engine({"s-1": "ada"})

    assert not Event.objects.exists()


def test_a_role_is_an_event_once_and_only_if_it_was_not_held() -> None:
    ada = make_user("ada")
    enrollment = enroll("s-1")
    add_course_run(enrollment, make_course(ALGEBRA), roles=("staff",))
    add_course_run(enrollment, make_course(BIOLOGY), roles=("staff",))
    make_role(ada, BIOLOGY)
    heard: list[Any] = []

    def hear(event: Event, *, role: str = "", granted: bool = False, user_id: int = 0, **_: Any) -> None:
        heard.append((event.kind, event.course_key, role, granted, user_id))

    with connected(hear), override_settings(LINKING_EVENTS=True):
        link_by_engine({"s-1": "ada"})
        deliver()

    assert heard == [
        ("created", str(ALGEBRA), "", False, 0),
        ("role_granted", str(ALGEBRA), "staff", True, ada.pk),
        ("created", str(BIOLOGY), "", False, 0),
    ]
    assert enrolled(ada).keys() == {str(ALGEBRA), str(BIOLOGY)}
