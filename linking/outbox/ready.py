"""The order of delivery: which events can be delivered now, and which wait for others."""

from collections.abc import Collection, Iterator

from django.utils import timezone

from linking.outbox.models import Event, EventFailure

PAGE = 500
"""Events that are read at a time; as many are delivered again after a process was killed."""

Chunk = list[tuple[Event, EventFailure | None]]
"""Events to deliver together, in order; one that failed before is alone, with its failure."""


class ReadyEvents:
    """The events that can be delivered now, from the oldest on.

    An event that cannot (it failed, was given up, or is on its way to the task) blocks later events of its user and of
    its program enrollment, and no others.

    Args:
        size: most events to deliver together.
        on_the_way: ids of the events that the task has not acknowledged.
    """

    def __init__(self, size: int, on_the_way: Collection[int]) -> None:
        self._size, self._on_the_way = size, on_the_way
        self._users, self._enrollments = set[int](), set[int]()

    def block(self, event: Event) -> None:
        """Let later events wait for this one."""
        self._users.add(event.user_id)
        if event.program_enrollment_id is not None:
            self._enrollments.add(event.program_enrollment_id)

    def waits(self, event: Event) -> bool:
        """Return whether an event waits for an earlier one; those after it then wait for it."""
        if event.user_id in self._users or event.program_enrollment_id in self._enrollments:
            self.block(event)
            return True
        return False

    def chunks(self) -> Iterator[Chunk]:
        """Yield the events once, in the order of their ids; each chunk is to be delivered before the next is read."""
        after, now = 0, timezone.now()
        while page := list(Event.objects.filter(pk__gt=after).order_by("pk")[:PAGE]):
            after = page[-1].pk
            failures = EventFailure.objects.filter(event__gte=page[0].pk, event__lte=after).in_bulk()
            chunk: Chunk = []
            for event in page:
                failure = failures.get(event.pk)
                if event.pk in self._on_the_way or (failure and (failure.failed or failure.due > now)):
                    self.block(event)
                    continue
                if chunk and (len(chunk) == self._size or failure or chunk[-1][1]):
                    yield chunk
                    chunk = []
                if not self.waits(event):
                    chunk.append((event, failure))
            if chunk:
                yield chunk
            if len(page) < PAGE:
                return
