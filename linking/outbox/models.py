"""The tables of the outbox.

An event is inserted once and deleted once. What delivery must remember of it is in other tables, which hold few rows.
"""

from typing import Any

from django.db import models
from opaque_keys.edx.keys import CourseKey


class Event(models.Model):
    """A transition of a course enrollment or role that has not been delivered yet.

    Ids grow in the order in which transitions happen to a user. There are no foreign keys: an event may outlive its
    rows. No column names a learner by key or username.
    """

    uuid = models.UUIDField(editable=False)  # Identifies the event for receivers.
    recorded = models.DateTimeField()  # When the transition was written.
    user_id = models.BigIntegerField()
    # The program enrollment that was linked; null for a service that enrolls a user without one.
    program_enrollment_id = models.BigIntegerField(null=True)
    kind = models.CharField(max_length=16)  # linking.engine.transition.Kind
    path = models.CharField(max_length=8)  # linking.engine.transition.Path
    course_key = models.CharField(max_length=255)
    course_enrollment_id = models.BigIntegerField(null=True)  # Null for a role.
    # State of the course enrollment: "active masters", "inactive audit"; empty where there is none.
    before = models.CharField(max_length=110, blank=True)
    after = models.CharField(max_length=110, blank=True)
    skip_refund = models.BooleanField()
    role = models.CharField(max_length=64, blank=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"event {self.pk}: {self.kind} of user {self.user_id} in {self.course_key}"

    @property
    def org(self) -> str:
        """The organization of the course run."""
        return CourseKey.from_string(self.course_key).org or ""

    def as_json(self) -> dict[str, Any]:
        """Return the event as ``docs/events.schema.json`` describes it."""
        return {
            "id": str(self.uuid),
            "kind": self.kind,
            "path": self.path,
            "recorded": self.recorded.isoformat(),
            "user_id": self.user_id,
            "program_enrollment_id": self.program_enrollment_id,
            "course_key": self.course_key,
            "course_enrollment_id": self.course_enrollment_id,
            "before": state_of(self.before),
            "after": state_of(self.after),
            "skip_refund": self.skip_refund,
            "org": self.org if self.role else None,
            "role": self.role or None,
        }


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
