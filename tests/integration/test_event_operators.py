"""What an operator sees of events, and may do: metrics, command, admin."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from linking.events import Event, EventFailure
from linking.outbox import backlog
from linking.outbox.step import step_text
from tests.support.ids import ALGEBRA
from tests.support.visitors import superuser, visitor

PAGE = "admin:linking_outbox_eventfailure_changelist"


@pytest.fixture
def events() -> list[Event]:
    """Four events: one given up, one that waits for its next attempt, and two others."""
    Event.objects.bulk_create(
        Event(
            recorded=timezone.now() - timedelta(hours=1),
            user_id=user,
            course_key=str(ALGEBRA),
            course_enrollment_id=user,
            step=step_text("created", "enroll", None, (True, "masters")),
        )
        for user in range(4)
    )
    found = list(Event.objects.order_by("pk"))
    for event, failed in zip(found, (timezone.now(), None), strict=False):
        EventFailure.objects.create(
            event=event,
            attempts=3,
            due=timezone.now() + timedelta(hours=1),
            failed=failed,
            error="OSError in mail.py:7",
        )
    return found


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("linking_events", *arguments, stdout=out, no_color=True)
    return out.getvalue()


def test_the_metrics_count_what_is_not_delivered_up_to_a_limit(
    events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    def scrape() -> dict[str, float]:
        lines = Client().get("/metrics").content.decode().splitlines()
        samples = (line.split() for line in lines if line.startswith("linking_") and "event" in line)
        return {name: float(value) for name, value in samples}

    assert len(events) == 4
    found = scrape()
    assert found["linking_undelivered_events"] == 4
    assert found["linking_failed_events"] == 1
    assert 3600 <= found["linking_oldest_undelivered_event_age_seconds"] < 3700
    monkeypatch.setattr(backlog, "MOST", 3)
    assert scrape()["linking_undelivered_events"] == 3


def test_the_command_lists_and_shows_events(events: list[Event]) -> None:
    text = command("list")
    assert "4 events are not delivered, the oldest since" in text
    assert "1 are given up" in text
    assert text.count("OSError in mail.py:7") == 2
    assert json.loads(command("list", "--json"))["failures"][0]["number"] == events[0].pk
    for name in (str(events[1].pk), str(events[1].uuid)):
        shown = json.loads(command("show", name))
        assert (shown["id"], shown["user_id"], shown["failure"]["attempts"]) == (str(events[1].uuid), 1, 3)


def test_the_command_retries_and_discards(events: list[Event]) -> None:
    assert "1 events are tried again" in command("retry", "--all")
    assert not EventFailure.objects.exclude(failed=None).exists()
    assert "1 events are tried again" in command("retry", str(events[1].pk))
    assert all(failure.due <= timezone.now() and not failure.attempts for failure in EventFailure.objects.all())
    assert "1 events are discarded" in command("discard", str(events[0].uuid))
    assert set(Event.objects.all()) == set(events[1:])
    assert "0 events are discarded" in command("discard", "--all")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("show", "4711999"), "there is no event 4711999"),
        (("show", "ada"), "there is no event ada"),
        (("retry",), "name one event, or all"),
        (("discard", "4711999", "--all"), "name one event, or all"),
        (("deliver",), "events are off"),
    ],
)
def test_the_command_says_what_it_cannot_do(arguments: tuple[str, ...], expected: str) -> None:
    with pytest.raises(CommandError, match=expected):
        command(*arguments)


def test_an_event_that_has_not_failed_is_not_retried(events: list[Event]) -> None:
    with pytest.raises(CommandError, match="has not failed"):
        command("retry", str(events[2].pk))


@pytest.mark.django_db(transaction=True)
def test_the_command_delivers_in_its_own_process(events: list[Event]) -> None:
    from linking.signals import course_enrollment_changed  # noqa: PLC0415

    called: list[int] = []

    def receive(event: Event, **_: object) -> None:
        called.append(event.user_id)

    course_enrollment_changed.connect(receive)
    try:
        with override_settings(LINKING_EVENTS=True):
            assert "2 events were delivered" in command("deliver")
    finally:
        course_enrollment_changed.disconnect(receive)
    assert called == [2, 3]
    assert set(Event.objects.all()) == set(events[:2])


def test_the_page_shows_failures_and_lets_those_act_who_may(events: list[Event]) -> None:
    assert visitor().get(reverse(PAGE)).status_code == 403
    act = {"action": "discard_events", "_selected_action": [events[0].pk]}

    client = visitor("view_eventfailure")
    page = client.get(reverse(PAGE)).content.decode()
    assert page.count("OSError in mail.py:7") == 2
    assert "given up" in page
    assert "discard_events" not in page
    client.post(reverse(PAGE), act)
    assert Event.objects.count() == 4

    client = visitor("view_eventfailure", "deliver_events")
    assert "discard_events" in client.get(reverse(PAGE)).content.decode()
    client.post(reverse(PAGE), act)
    client.post(reverse(PAGE), {"action": "retry_events", "_selected_action": [events[1].pk]})
    assert set(Event.objects.all()) == set(events[1:])
    assert EventFailure.objects.get().attempts == 0


def test_the_page_filters_and_takes_few_statements(
    events: list[Event], django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    assert len(events) == 4
    client = superuser()
    with django_assert_max_num_queries(7):
        page = client.get(reverse(PAGE), {"state": "given up"}).content.decode()
    assert page.count("OSError in mail.py:7") == 1
