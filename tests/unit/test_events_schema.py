"""The JSON Schema of the messages with events allows what is sent, and nothing else."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import event as note
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from linking.engine.state import CourseEnrollment
from linking.engine.transition import Kind, Path, enrollment_transition
from linking.events import Event
from linking.outbox import batches
from linking.outbox.step import step_text
from tests.support.pages import DOCS, blocks

SCHEMA = json.loads((DOCS / "events.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)
BATCH = "11111111-1111-4111-8111-111111111111"
ALGEBRA = "course-v1:Org+Algebra+2024"

ids = st.integers(1, 2**63 - 1)
modes = st.sampled_from(["audit", "honor", "masters", "verified", "no-id professional"])
states = st.tuples(st.booleans(), modes)
WAYS = {
    ("created", Path.ENROLL),
    ("reactivated", Path.ENROLL),
    ("mode_changed", Path.SAVE),
    ("mode_changed", Path.UPDATE),
    ("deactivated", Path.UPDATE),
    ("deleted", Path.UPDATE),
}
"""The paths that :mod:`linking.engine` takes, by kind."""


def as_sent(event: Event) -> dict[str, Any]:
    sent: dict[str, Any] = json.loads(json.dumps(event.as_json()))
    return sent


def is_possible(event: Event) -> bool:
    """Return whether the engine can record an event."""
    if event.role:
        return event.path == "role" and not (event.before or event.after or event.skip_refund)
    before, after = (json_state(text) for text in (event.before, event.after))
    if before == after:
        return False
    is_active, mode = after or before or (False, "")
    row = CourseEnrollment(id=1, user_id=1, course_key=ALGEBRA, is_active=is_active, mode=mode, stored=None)
    transition = enrollment_transition(row, before, Path.SAVE, deleted=after is None)
    assert transition is not None
    if (event.kind, event.path) not in WAYS or event.kind != transition.kind:
        return False
    if event.kind == "created":
        return is_active and not event.skip_refund
    if event.kind == "mode_changed":
        return is_active == (event.path == Path.SAVE)
    return event.kind != "deleted" or event.skip_refund


def json_state(text: str) -> tuple[bool, str] | None:
    activity, _, mode = text.partition(" ")
    return (activity == "active", mode) if text else None


@st.composite
def events(draw: st.DrawFn) -> Event:
    """Draw an event whose columns are of the right types."""
    role = draw(st.sampled_from(["", "staff"]))
    return Event(
        pk=draw(ids),
        recorded=draw(st.datetimes(datetime(1900, 1, 1), timezones=st.just(UTC))),  # noqa: DTZ001 - its zone is drawn
        user_id=draw(ids),
        program_enrollment_id=draw(ids | st.none()),
        course_key=ALGEBRA,
        course_enrollment_id=None if role else draw(ids),
        step=step_text(
            draw(st.sampled_from([*Kind])),
            draw(st.sampled_from([*Path])),
            draw(st.none() | states),
            draw(st.none() | states),
            draw(st.booleans()),
            role,
        ),
    )


@given(events())
def test_the_schema_allows_exactly_the_events_that_can_be_recorded(event: Event) -> None:
    is_role_kind = event.kind in {Kind.ROLE_GRANTED, Kind.ROLE_REVOKED}
    possible = is_role_kind == bool(event.role) and is_possible(event)
    note(f"{event.kind}: {possible}")
    before, after = json_state(event.before), json_state(event.after)
    if before is None or after is None or before != after:  # The docs: a schema cannot say that two values differ.
        assert VALIDATOR.is_valid({"batch": BATCH, "events": [as_sent(event)]}) == possible


@given(events(), st.data())
def test_what_the_schema_allows_is_an_event(event: Event, data: st.DataObject) -> None:
    sent = as_sent(event)
    name = data.draw(st.sampled_from([*sent, "external_user_key"]))
    if data.draw(st.booleans()):
        sent.pop(name, None)
    else:
        sent[name] = data.draw(st.none() | st.booleans() | st.integers() | st.text() | states.map(list))
    message = {"batch": BATCH, "events": [sent]}
    if not VALIDATOR.is_valid(message):
        return
    again = Event(
        recorded=datetime.fromisoformat(sent["recorded"]),
        **{field: sent[field] for field in ("user_id", "program_enrollment_id", "course_key", "course_enrollment_id")},
        step=step_text(
            sent["kind"],
            sent["path"],
            sent["before"] and (sent["before"]["is_active"], sent["before"]["mode"]),
            sent["after"] and (sent["after"]["is_active"], sent["after"]["mode"]),
            sent["skip_refund"],
            sent["role"] or "",
        ),
    )
    assert is_possible(again) or again.before == again.after


def test_a_message_has_one_to_a_hundred_events() -> None:
    (page,) = blocks("contract.md", "json", "Events")
    message = json.loads(page)

    assert VALIDATOR.is_valid(message)
    assert not VALIDATOR.is_valid(message | {"events": []})
    for size, allowed in ((batches.SIZE, True), (batches.SIZE + 1, False)):
        assert VALIDATOR.is_valid(message | {"events": message["events"][:1] * size}) == allowed


def test_the_schema_is_valid_and_describes_every_field() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    step = step_text(Kind.ROLE_GRANTED, Path.ROLE, role="staff")
    event = Event(pk=1, recorded=datetime(2026, 1, 1, tzinfo=UTC), user_id=1, course_key=ALGEBRA, step=step)
    assert [*SCHEMA["$defs"]["event"]["properties"]] == SCHEMA["$defs"]["event"]["required"] == [*event.as_json()]


@given(events())
def test_the_id_of_an_event_is_a_uuid_of_version_7_that_names_its_moment_and_number(event: Event) -> None:
    assert (event.uuid.version, event.uuid.variant) == (7, "specified in RFC 4122")
    assert event.uuid.int % 2**62 == event.pk % 2**62
    assert Event(pk=event.pk, recorded=event.recorded + timedelta(microseconds=1)).uuid != event.uuid
    assert Event(pk=event.pk - 1, recorded=event.recorded).uuid != event.uuid
