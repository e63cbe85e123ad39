"""``manage.py linking_events``: look at events that could not be delivered, and retry, discard or deliver them."""

from argparse import ArgumentParser
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.conf import settings
from rich.markup import escape
from rich.table import Table

from linking import events
from linking.events import Event, EventFailure
from worker.events import send_events
from worker.exceptions import WorkerError
from worker.management.command import JobCommand

ACTIONS = {
    "show": "an event, and why it was not delivered",
    "retry": "try an event that failed again at once, with all attempts",
    "discard": "delete an event without delivering it; later events of its user are delivered then",
}
"""Sub-commands on events, by their help texts."""


class Command(JobCommand):
    """List, show, retry, discard and deliver events."""

    help = "List, show, retry, discard and deliver events about changed enrollments."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        listing = actions.add_parser("list", help="how many events wait, and those that failed")
        listing.add_argument("--limit", type=int, default=20, help="failed events, at most (default 20)")
        listing.add_argument("--json", action="store_true", help="for programs: JSON on standard output")
        for name, text in ACTIONS.items():
            action = actions.add_parser(name, help=text)
            nargs = None if name == "show" else "?"
            action.add_argument("event", nargs=nargs, help="the number of an event, or its id")
            if name != "show":
                action.add_argument("--all", action="store_true", help="all events that were given up")
        actions.add_parser("deliver", help="deliver events in this process until none is left that can be delivered")

    def run(self, options: dict[str, Any]) -> None:
        getattr(self, f"_{options['action']}")(options)

    def _list(self, options: dict[str, Any]) -> None:
        waiting, failed = events.backlog(), events.newest_failures(options["limit"])
        if options["json"]:
            self._print_json(asdict(waiting) | {"failures": [_describe(one.event, one) for one in failed]})
            return
        since = f", the oldest since {waiting.oldest:%Y-%m-%d %H:%M:%S}" if waiting.oldest else ""
        more = " or more" if waiting.undelivered == events.MOST else ""
        self.console.print(
            f"{waiting.undelivered:,}{more} events are not delivered{since}; {waiting.failed:,} are given up."
        )
        table = Table("event", "kind", "user", "course run", "attempts", "next", "error")
        for one in failed:
            due = "given up" if one.failed else f"{one.due:%Y-%m-%d %H:%M:%S}"
            row = (one.pk, one.event.kind, one.event.user_id, one.event.course_key, one.attempts, due, one.error)
            table.add_row(*(escape(str(value)) for value in row))
        if failed:
            self.console.print(table)

    def _show(self, options: dict[str, Any]) -> None:
        event = _find(options["event"])
        self._print_json(_describe(event, EventFailure.objects.filter(pk=event.pk).first()))

    def _retry(self, options: dict[str, Any]) -> None:
        self.console.print(f"{events.retry(_chosen(options)):,} events are tried again.")

    def _discard(self, options: dict[str, Any]) -> None:
        self.console.print(f"{events.discard(_chosen(options)):,} events are discarded.")

    def _deliver(self, _: dict[str, Any]) -> None:
        if not settings.LINKING_EVENTS:
            msg = "events are off: set LINKING_EVENT_RECEIVERS or LINKING_EVENTS_TASK."
            raise WorkerError(msg)
        delivered = sent = 0
        while done := events.deliver(send_events if settings.LINKING_EVENTS_TASK else None):
            delivered, sent = delivered + done.delivered, sent + done.sent
            if not done.more:
                break
        else:
            self.console.print("Another process delivers events, or pauses after a failure.")
        self.console.print(f"{delivered:,} events were delivered, {sent:,} were sent to the task.")

    def _print_json(self, data: Any) -> None:
        self.console.print_json(data=data, default=lambda it: it.isoformat() if isinstance(it, datetime) else str(it))


def _find(text: str) -> Event:
    event = events.find_event(text)
    if event is None:
        msg = f"there is no event {text}: it was delivered or discarded, or never recorded (linking_events list)."
        raise WorkerError(msg)
    return event


def _chosen(options: dict[str, Any]) -> Any:
    """Return the failures that a command is about."""
    if bool(options["event"]) == options["all"]:
        msg = "name one event, or all that were given up with --all."
        raise WorkerError(msg)
    if options["all"]:
        return events.given_up()
    event = _find(options["event"])
    found = EventFailure.objects.filter(pk=event.pk)
    if not found:
        msg = f"event {event.pk} has not failed: it waits for its delivery, or for an earlier event of its user."
        raise WorkerError(msg)
    return found


def _describe(event: Event, failure: EventFailure | None) -> dict[str, Any]:
    """Return an event as data."""
    names = ("attempts", "due", "failed", "error")
    return {
        "number": event.pk,
        **event.as_json(),
        "failure": failure and {name: getattr(failure, name) for name in names},
    }
