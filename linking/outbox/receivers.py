"""Send the signals of events."""

import logging
from collections.abc import Collection, Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from traceback import extract_tb
from typing import Any

from django.db import connection
from opaque_keys.edx.keys import CourseKey

from linking import models
from linking.outbox.models import Event, state_of
from linking.signals import course_enrollment_changed, course_role_changed
from linking.sql.statements import aware, fetch, is_one_of

log = logging.getLogger(__name__)
learners_log = logging.getLogger("linking.learners")


def has_receivers() -> bool:
    """Return whether a receiver is connected to one of the signals."""
    return course_enrollment_changed.has_listeners() or course_role_changed.has_listeners()


def creation_times(events: Collection[Event]) -> dict[int, datetime]:
    """Return when the course enrollments of events were created, by id, in one statement; deleted ones are missing."""
    ids = {event.course_enrollment_id for event in events if event.course_enrollment_id is not None}
    if not ids:
        return {}
    condition, parameters = is_one_of("id", ids)
    found = fetch(f"SELECT id, created FROM student_courseenrollment WHERE {condition}", parameters)
    return {row_id: aware(created) for row_id, created in found}


def call_receivers(event: Event, created: Mapping[int, datetime]) -> str:
    """Send the signal of an event to every receiver; return the first error in words, empty if there was none."""
    try:
        responses = _send(event, created)
    except Exception as nameless:  # noqa: BLE001 - Django cannot log an error of a receiver that has no name
        responses = [(None, nameless)]
    errors = [(receiver, error) for receiver, error in responses if isinstance(error, Exception)]
    for receiver, error in errors:
        name = f"{getattr(receiver, '__module__', '')}.{getattr(receiver, '__qualname__', type(receiver).__qualname__)}"
        log.warning("event %s: receiver %s raised %s", event.uuid, name, describe(error))
        learners_log.warning("event %s: receiver %s raised", event.uuid, name, exc_info=error)
    return describe(errors[0][1]) if errors else ""


def _send(event: Event, created: Mapping[int, datetime]) -> list[tuple[Any, Any]]:
    if event.role:
        return course_role_changed.send_robust(
            models.CourseAccessRole,
            user_id=event.user_id,
            course_key=_course_key(event.course_key),
            role=event.role,
            granted=event.kind == "role_granted",
            event=event,
        )
    return course_enrollment_changed.send_robust(
        models.CourseEnrollment,
        course_enrollment=_course_enrollment(event, created),
        created=event.kind == "created",
        skip_refund=event.skip_refund,
        event=event,
    )


def describe(error: BaseException) -> str:
    """Return the type of an error and the place that raised it, without its text, which may name a learner."""
    frames = extract_tb(error.__traceback__)
    place = f" in {Path(frames[-1].filename).name}:{frames[-1].lineno} ({frames[-1].name})" if frames else ""
    return f"{type(error).__name__}{place}"[:255]


@lru_cache(maxsize=4096)
def _course_key(text: str) -> CourseKey:
    return CourseKey.from_string(text)


def _course_enrollment(event: Event, created: Mapping[int, datetime]) -> models.CourseEnrollment:
    """Return the course enrollment of an event as it was after the transition."""
    state = state_of(event.after) or {"is_active": False, "mode": (state_of(event.before) or {}).get("mode", "")}
    values = {  # In the order of the columns of the model.
        "id": event.course_enrollment_id,
        "user_id": event.user_id,
        "course_id": _course_key(event.course_key),
        "created": created.get(event.course_enrollment_id or 0, event.recorded),
        **state,
    }
    return models.CourseEnrollment.from_db(connection.alias, values, values.values())
