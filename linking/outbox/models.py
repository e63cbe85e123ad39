"""The tables of the outbox.

An event is inserted once and deleted once. What delivery must remember of it is in other tables, which hold few rows.
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import models
from opaque_keys.edx.keys import CourseKey

from linking.outbox.step import read_step

NUMBER_BITS = 62
"""Bits of a UUID of version 7 that are not its moment; they hold the number of the event."""


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Event(models.Model):
    """A transition of a course enrollment or role that has not been delivered yet.

    Ids grow in the order in which transitions happen to a user. There are no foreign keys: an event may outlive its
    rows. No column names a learner by key or username. A learner has several events, so a row is narrow.
    """

    recorded = models.DateTimeField()  # When the transition was written.
    user_id = models.BigIntegerField()
    # The program enrollment that was linked; null for a service that enrolls a user without one.
    program_enrollment_id = models.BigIntegerField(null=True)
    course_enrollment_id = models.BigIntegerField(null=True)  # Null for a role.
    course_key = models.CharField(max_length=255)
    step = models.TextField()  # linking.outbox.step

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"event {self.pk}: {self.kind} of user {self.user_id} in {self.course_key}"

    @property
    def uuid(self) -> UUID:
        """The id that receivers know the event by: a UUID of version 7, made of the moment and the number.

        A database that is restored may use a number again, but not at the same microsecond.
        """
        milliseconds, microseconds = divmod((self.recorded - EPOCH) // timedelta(microseconds=1), 1_000)
        version, variant = 7, 2
        moment = milliseconds % 2**48 << 80 | version << 76 | microseconds << 64
        return UUID(int=moment | variant << 62 | self.pk % 2**NUMBER_BITS)

    @property
    def kind(self) -> str:
        """What happened: a :class:`linking.engine.transition.Kind`."""
        return read_step(self.step).kind

    @property
    def path(self) -> str:
        """The way in which Open edX makes the same change: a :class:`linking.engine.transition.Path`."""
        return read_step(self.step).path

    @property
    def before(self) -> str:
        """The state of the course enrollment before, empty where there was none."""
        return read_step(self.step).before

    @property
    def after(self) -> str:
        """The state of the course enrollment after, empty where there is none."""
        return read_step(self.step).after

    @property
    def skip_refund(self) -> bool:
        """Whether an unlinking or an undo caused the change."""
        return read_step(self.step).skip_refund

    @property
    def role(self) -> str:
        """The course role, empty for a course enrollment."""
        return read_step(self.step).role

    @property
    def org(self) -> str:
        """The organization of the course run."""
        return CourseKey.from_string(self.course_key).org or ""

    def as_json(self) -> dict[str, Any]:
        """Return the event as ``docs/events.schema.json`` describes it."""
        step = read_step(self.step)
        return {
            "id": str(self.uuid),
            "kind": step.kind,
            "path": step.path,
            "recorded": self.recorded.isoformat(),
            "user_id": self.user_id,
            "program_enrollment_id": self.program_enrollment_id,
            "course_key": self.course_key,
            "course_enrollment_id": self.course_enrollment_id,
            "before": state_of(step.before),
            "after": state_of(step.after),
            "skip_refund": step.skip_refund,
            "org": self.org if step.role else None,
            "role": step.role or None,
        }


def find_by_uuid(uuid: UUID) -> Event | None:
    """Return the event with the id that receivers know it by."""
    event = Event.objects.filter(pk=uuid.int % 2**NUMBER_BITS).first()
    return event if event and event.uuid == uuid else None


def state_of(text: str) -> dict[str, Any] | None:
    """Return a state of a course enrollment as data, None for an empty text."""
    if not text:
        return None
    activity, _, mode = text.partition(" ")
    return {"is_active": activity == "active", "mode": mode}


class EventFailure(models.Model):
    """An event that could not be delivered: it is tried again, or, after the last attempt, kept for an operator.

    Later events of its user and of its program enrollment wait for it.
    """

    event = models.OneToOneField(
        Event, models.DO_NOTHING, primary_key=True, db_constraint=False, related_name="failure"
    )
    attempts = models.PositiveIntegerField(default=0)
    due = models.DateTimeField()  # When it is tried again.
    failed = models.DateTimeField(null=True)  # When it was given up.
    error = models.CharField(
        max_length=255, blank=True
    )  # Type and place of the last error: its text may name learners.
    received = models.BooleanField(default=False)  # The receivers of the signals are done; the task is not.

    class Meta:
        default_permissions = ("view",)
        permissions = (("deliver_events", "Can retry and discard events"),)
        indexes = (models.Index("failed", name="eventfailure_failed"),)

    def __str__(self) -> str:
        return f"failure of event {self.pk} ({self.attempts} attempts)"


class EventBatch(models.Model):
    """Events sent to the task of ``LINKING_EVENTS_TASK``, until that task acknowledges them."""

    id = models.UUIDField(primary_key=True, editable=False)  # The id of the task.
    events = models.JSONField()  # Ids.
    due = models.DateTimeField()  # When it is sent again.
    sent = models.PositiveIntegerField(default=0)  # How often the broker accepted it.

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"batch {self.pk} of {len(self.events)} events"


class DeliveryLease(models.Model):
    """The one row, with id 1, whose holder delivers events."""

    holder = models.UUIDField(null=True)
    until = models.DateTimeField()
    # The last event of the page whose receivers are being called. A holder that finds one knows that they ended its
    # predecessor's process.
    calling = models.BigIntegerField(null=True)
    interruptions = models.PositiveIntegerField(default=0)  # Runs in a row that ended since nothing could be delivered.

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"lease of {self.holder} until {self.until}"
