"""Events that could not be delivered, in the admin: looked at, tried again, discarded."""

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest

from linking import events
from linking.events import EventFailure
from worker.admin.tables import BoundedPaginator, ReadOnlyAdmin

DELIVER = "linking_outbox.deliver_events"
"""The permission to retry and discard events."""


class GivenUpFilter(admin.SimpleListFilter):
    """Filter by whether an event was given up."""

    title = "state"
    parameter_name = "state"

    def lookups(self, *_: object) -> list[tuple[str, str]]:
        return [("given up", "given up"), ("tried", "tried again")]

    def queryset(self, _: HttpRequest, found: Any) -> Any:
        return found if self.value() is None else found.filter(failed__isnull=self.value() != "given up")


@admin.register(EventFailure)
class EventFailureAdmin(ReadOnlyAdmin):
    """Events that failed: later events of their users wait for them."""

    list_display = ("number", "kind", "user", "course_run", "attempts", "next_attempt", "error")
    list_display_links = None
    list_filter = (GivenUpFilter,)
    list_select_related = ("event",)
    list_per_page = 50
    paginator = BoundedPaginator
    ordering = ("pk",)
    actions = ("retry_events", "discard_events")  # type: ignore[assignment] # Those of Django are off.

    def has_deliver_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may retry and discard events."""
        return bool(request.user.has_perm(DELIVER))

    number = admin.display(lambda _, failure: failure.event_id, description="event", ordering="event_id")
    kind = admin.display(lambda _, failure: failure.event.kind, description="kind")
    user = admin.display(lambda _, failure: failure.event.user_id, description="user id")
    course_run = admin.display(lambda _, failure: failure.event.course_key, description="course run")
    next_attempt = admin.display(
        lambda _, failure: "given up" if failure.failed else f"{failure.due:%Y-%m-%d %H:%M:%S}",
        description="next attempt",
        ordering="due",
    )

    @admin.action(description="Try the selected events again", permissions=["deliver"])
    def retry_events(self, request: HttpRequest, found: Any) -> None:
        messages.success(request, f"{events.retry(found):,} events are tried again.")

    @admin.action(description="Discard the selected events: nobody receives them", permissions=["deliver"])
    def discard_events(self, request: HttpRequest, found: Any) -> None:
        messages.success(request, f"{events.discard(found):,} events are discarded.")
