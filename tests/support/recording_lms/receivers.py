"""Receivers of a plug-in that records all signals of enrollments, and every event of openedx-events."""

from typing import Any

import attrs
from common.djangoapps.student.models import CourseEnrollment
from common.djangoapps.student.signals import ENROLL_STATUS_CHANGE, ENROLLMENT_TRACK_UPDATED, UNENROLL_DONE
from django.db.models.signals import post_save
from openedx_events.tooling import OpenEdxPublicSignal

from tests.support.recording_lms.recording import note


def connect() -> None:
    """Connect the receivers."""
    post_save.connect(_saved, sender=CourseEnrollment)
    ENROLL_STATUS_CHANGE.connect(_status_changed)
    ENROLLMENT_TRACK_UPDATED.connect(_track_updated)
    UNENROLL_DONE.connect(_unenrolled)
    for event in OpenEdxPublicSignal.all_events():
        event.connect(_event)


def _saved(sender: Any, instance: Any, *, created: bool, raw: bool, using: str, update_fields: Any, **_: Any) -> None:
    assert sender is type(instance)
    facts = {"created": created, "raw": raw, "using": using, "update_fields": update_fields}
    note(instance.user_id, "post_save", **_state(instance), **facts)


def _status_changed(
    sender: Any, *, event: str, user: Any, mode: str, course_id: Any, cost: Any, currency: Any, **_: Any
) -> None:
    facts = {"event": event, "mode": mode, "course": course_id, "cost": cost, "currency": currency}
    note(user.id, "ENROLL_STATUS_CHANGE", sender=sender, **facts)


def _track_updated(sender: Any, user: Any, course_key: Any, mode: str, countdown: int, **_: Any) -> None:
    note(user.id, "ENROLLMENT_TRACK_UPDATED", sender=sender, course=course_key, mode=mode, countdown=countdown)


def _unenrolled(sender: Any, course_enrollment: Any, *, skip_refund: bool, **_: Any) -> None:
    note(
        course_enrollment.user.id, "UNENROLL_DONE", sender=sender, **_state(course_enrollment), skip_refund=skip_refund
    )


def _state(enrollment: Any) -> dict[str, Any]:
    """Return a course enrollment as a receiver sees it; ids of new ones differ from run to run."""
    assert isinstance(enrollment, CourseEnrollment)
    stored = CourseEnrollment.objects.filter(pk=enrollment.pk).first()
    if stored is not None:
        assert (stored.user_id, stored.course_id) == (enrollment.user_id, enrollment.course_id)
        assert stored.created == enrollment.created
    return {"course": enrollment.course_id, "is_active": enrollment.is_active, "mode": enrollment.mode}


def _event(signal: Any, metadata: Any, **kwargs: Any) -> None:
    """Record an event with all its data; of its metadata, what does not differ from run to run."""
    kwargs.pop("from_event_bus", None)
    kwargs.pop("sender", None)
    ((name, data),) = kwargs.items()
    values = attrs.asdict(data)
    if "creation_date" in values:
        values["creation_date"] = _described_creation(data)
    note(data.user.id, "event", type=metadata.event_type, argument=name, data=values)


def _described_creation(data: Any) -> str:
    """Return whether the time of creation is that of the row."""
    rows = CourseEnrollment.objects.filter(user_id=data.user.id, course_id=data.course.course_key)
    created = rows.values_list("created", flat=True).first()
    if created is None:
        return "there is no row"
    return "the row's" if created == data.creation_date else data.creation_date.isoformat()
