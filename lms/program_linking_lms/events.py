"""Events, as ``docs/events.schema.json`` of program-linking describes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from opaque_keys.edx.keys import CourseKey

PATHS = {
    "created": {"enroll"},
    "reactivated": {"enroll"},
    "mode_changed": {"save", "update"},
    "deactivated": {"update"},
    "role_granted": {"role"},
    "role_revoked": {"role"},
}
"""The ways in which Open edX makes a change, by its kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """State of a course enrollment."""

    is_active: bool
    mode: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A change of a course enrollment or course role.

    ``before`` is None where a course enrollment was created; it and ``after`` are for a role, which alone has ``org``
    and ``role``.
    """

    id: UUID
    kind: str
    path: str
    recorded: datetime
    user_id: int
    course_key: CourseKey
    course_enrollment_id: int | None
    before: State | None
    after: State | None
    skip_refund: bool
    org: str | None
    role: str | None

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Event":
        """Return an event; keys that this release does not know are ignored.

        Raises:
            ValueError: a value is missing, or has a form that this release does not know.
        """
        remedy = "install the release of program-linking-lms that belongs to the worker's"
        try:
            kind, path = values["kind"], values["path"]
            if path not in PATHS.get(kind, ()):
                msg = f"event {values['id']}: kind={kind!r} with path={path!r} is not known: {remedy}"
                raise ValueError(msg)
            return cls(
                id=UUID(values["id"]),
                kind=kind,
                path=path,
                recorded=datetime.fromisoformat(values["recorded"]),
                user_id=values["user_id"],
                course_key=CourseKey.from_string(values["course_key"]),
                course_enrollment_id=values["course_enrollment_id"],
                before=_state(values["before"]),
                after=_state(values["after"]),
                skip_refund=values["skip_refund"],
                org=values["org"],
                role=values["role"],
            )
        except KeyError as error:
            msg = f"event {values.get('id')}: {error.args[0]!r} is missing: {remedy}"
            raise ValueError(msg) from error


def _state(values: Mapping[str, Any] | None) -> State | None:
    return None if values is None else State(is_active=values["is_active"], mode=values["mode"])
